package llb

import "testing"

func TestRuns(t *testing.T) {
	for dockerfile, want := range map[string]bool{
		"FROM kubernetes:v1\nRUN true\nCOPY a /\n":                                    true,
		"FROM kubernetes:v1 AS a\nRUN true\nFROM a\nCOPY --link b /\n":                true,
		"FROM kubernetes:v1\nCOPY a /\nWORKDIR /x\n":                                  false,
		"FROM debian AS a\nRUN make\nFROM kubernetes:v1\nCOPY --link --from=a /a /\n": false,
		"FROM kubernetes:v1\n":                                                        false,
		"FROM scratch\n":                                                              false,
	} {
		if got, err := Runs(t.Context(), compile(t, dockerfile)); got != want || err != nil {
			t.Errorf("%q: got %v (%v), want %v", dockerfile, got, err, want)
		}
	}
}
