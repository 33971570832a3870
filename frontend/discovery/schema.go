package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// schemaFailures validates the values of a chart and its subcharts by their values.schema.json, as Helm does. What a schema refers to by a
// URL is not available when Helm reads it at the site.
func schemaFailures(ch *chart.Chart, values map[string]any) []failure {
	var failures []failure
	name := ch.ChartFullPath() + "/values.schema.json"
	switch err, invalid := validate(ch.Schema, values), (*jsonschema.ValidationError)(nil); {
	case err == nil:
	case errors.As(err, &invalid):
		f := failure{refused: true, message: "its values are not what its schema asks for: " + err.Error()}
		f.value = inParent(name, invalidValue(invalid))
		failures = append(failures, f)
	default:
		f := failure{incomplete: true, template: name, line: 1, message: "Helm cannot use its values schema: " + err.Error()}
		var missing *jsonschema.LoadURLError
		if errors.As(err, &missing) {
			f.line = lineOfReference(ch.Schema, missing.URL)
			f.message = fmt.Sprintf("its values schema refers to %s, which Helm cannot read at the site: put that schema into this one, below $defs, or install with --skip-schema-validation", missing.URL)
		}
		failures = append(failures, f)
	}
	for _, sub := range ch.Dependencies() {
		if given := asMap(values[sub.Name()]); given != nil {
			failures = append(failures, schemaFailures(sub, given)...)
		}
	}
	return failures
}

// lineOfReference is the line of a schema that refers to a URL: as it is, or by its end.
func lineOfReference(schema []byte, url string) int {
	end := url[strings.LastIndexByte(url, '/')+1:]
	for _, text := range []string{url, end} {
		line := 0
		for content := range bytes.Lines(schema) {
			line++
			plain := bytes.ReplaceAll(content, []byte(`\/`), []byte("/"))
			if text != "" && bytes.Contains(plain, []byte(text)) && (bytes.Contains(plain, []byte("ref\"")) || bytes.Contains(plain, []byte("$schema"))) {
				return line
			}
		}
	}
	return 1
}

func asMap(values any) map[string]any {
	switch values := values.(type) {
	case common.Values:
		return values
	case map[string]any:
		return values
	}
	return nil
}

// validate returns a [*jsonschema.ValidationError] for values that do not fit, and another error for a schema that cannot be used.
func validate(schema []byte, values map[string]any) error {
	if len(schema) == 0 {
		return nil
	}
	const name = "file:///values.schema.json"
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(nowhere{})
	if err := compiler.AddResource(name, document); err != nil {
		return err
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		return err
	}
	return compiled.Validate(values)
}

// nowhere loads no schemas.
type nowhere struct{}

// Load implements [jsonschema.URLLoader]. Helm takes a URN for a schema that everything fits.
func (nowhere) Load(url string) (any, error) {
	if strings.HasPrefix(url, "urn:") {
		return true, nil
	}
	return nil, errNotInRootfs
}

// invalidValue returns the path of the first value that is wrong or missing.
func invalidValue(err *jsonschema.ValidationError) string {
	for len(err.Causes) > 0 {
		err = err.Causes[0]
	}
	at := err.InstanceLocation
	if required, ok := err.ErrorKind.(*kind.Required); ok && len(required.Missing) > 0 {
		at = append(at[:len(at):len(at)], required.Missing[0])
	}
	return strings.Join(at, ".")
}
