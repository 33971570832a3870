package clusterfile

import _ "embed"

//go:embed clusterfile.schema.json
var schema []byte

// Schema is a JSON Schema (draft-07, which editors know best) of one document of a Clusterfile, made of the types and their comments.
func Schema() []byte { return schema }
