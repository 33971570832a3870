package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// process is a pipeline, whose stages have one order.
type process struct{ value, json, base64, secret bool }

func parseProcess(names []string) (process, error) {
	order := []string{"value", "toJson", "toBase64", "toSecret"}
	on := make([]bool, len(order))
	for _, name := range names {
		i := slices.IndexFunc(order, func(known string) bool { return strings.EqualFold(known, strings.TrimSpace(name)) })
		switch {
		case i < 0:
			return process{}, fmt.Errorf("no processor %q: there are %s", name, strings.Join(order, ", "))
		case slices.Contains(on[i:], true):
			return process{}, fmt.Errorf("%s is out of order: the order is %s, each at most once", order[i], strings.Join(order, "|"))
		}
		on[i] = true
	}
	p := process{on[0], on[1], on[2], on[3]}
	switch {
	case p.value && !p.json && !p.base64 && !p.secret:
		return p, errors.New("value applies what follows to each value, and nothing follows: add toJson or toBase64")
	case p.secret && p.json && !p.base64:
		return p, errors.New("toSecret takes values in base64: put toBase64 before it")
	case p.secret && p.base64 && !p.value:
		return p, errors.New("toSecret takes a map: put value before toBase64")
	}
	return p, nil
}

// run turns data into what the stages before toSecret make of it.
func (p process) run(data string) (string, error) {
	if !p.value {
		return p.text(data)
	}
	if !p.json && !p.base64 {
		return data, nil
	}
	values, err := onlyMap([]byte(data))
	if err != nil {
		return "", err
	}
	for i := 1; i < len(values.Content); i += 2 {
		text, err := p.node(values.Content[i])
		if err != nil {
			return "", fmt.Errorf("%s: %w", values.Content[i-1].Value, err)
		}
		values.Content[i].Kind, values.Content[i].Style, values.Content[i].Content = yaml.ScalarNode, 0, nil
		values.Content[i].SetString(text)
	}
	result, err := yaml.Marshal(values)
	return string(result), err
}

// text processes data as a whole.
func (p process) text(data string) (string, error) {
	if p.json {
		document, err := onlyDocument([]byte(data))
		if err != nil {
			return "", err
		}
		if data, err = toJSON(document); err != nil {
			return "", err
		}
	}
	if p.base64 {
		data = base64.StdEncoding.EncodeToString([]byte(data))
	}
	return data, nil
}

// node processes one value.
func (p process) node(value *yaml.Node) (text string, err error) {
	switch {
	case p.json:
		if text, err = toJSON(value); err != nil {
			return "", err
		}
	case value.Kind != yaml.ScalarNode:
		return "", errors.New("toBase64 takes text, and this is a map or a list: put toJson before it")
	case value.ShortTag() != "!!null":
		text = value.Value
	}
	if p.base64 {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return text, nil
}
