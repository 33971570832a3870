package discovery

import (
	"bytes"
	"errors"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// schemaFailures validates the values of a chart and its subcharts by their values.schema.json. A schema that refers to others elsewhere is not
// consulted.
func schemaFailures(ch *chart.Chart, values any) []failure {
	var failures []failure
	given := asMap(values)
	if err := validate(ch.Schema, given); err != nil {
		f := failure{refused: true, message: "its values are not what its schema asks for: " + err.Error()}
		var invalid *jsonschema.ValidationError
		if errors.As(err, &invalid) {
			f.value = inParent(ch.ChartFullPath()+"/values.schema.json", invalidValue(invalid))
		}
		failures = append(failures, f)
	}
	for _, sub := range ch.Dependencies() {
		failures = append(failures, schemaFailures(sub, given[sub.Name()])...)
	}
	return failures
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

// validate returns a [*jsonschema.ValidationError] for values that do not fit.
func validate(schema []byte, values map[string]any) error {
	if len(schema) == 0 {
		return nil
	}
	const name = "file:///values.schema.json"
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(nowhere{})
	if err := compiler.AddResource(name, document); err != nil {
		return nil
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		return nil
	}
	return compiled.Validate(values)
}

// nowhere loads no schemas.
type nowhere struct{}

// Load implements [jsonschema.URLLoader].
func (nowhere) Load(string) (any, error) { return nil, errNotInRootfs }

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
