package imagespec_test

import (
	"errors"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

func TestPlatforms(t *testing.T) {
	for _, p := range []ocispec.Platform{
		{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm", Variant: "v7"}, {OS: "linux", Architecture: "x86_64"},
		{OS: "linux", Architecture: "amd64", Variant: "v2"}, {OS: "linux", Architecture: "ppc64le"}, {OS: "unknown", Architecture: "unknown"},
		{OS: "linux", Architecture: "arm64", Variant: "v8.1"},
	} {
		if err := imagespec.CheckPlatform(p); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, word := range []string{
		"", ".", "..", "../x", "x/../../f", "/etc/passwd", "a/b", "amd64\n", "amd64\x00", "amd64 ", " amd64", "AMD64", "\x1b[31m", "amd64;reboot",
		"$(reboot)", "a*", `a\b`, "-a", "a-", ".hidden", "a..b", "ämd64", "a\xff", strings.Repeat("a", 64),
	} {
		places := map[string]ocispec.Platform{"os": {OS: word, Architecture: "amd64"}, "architecture": {OS: "linux", Architecture: word}}
		if word != "" { // no variant is none
			places["variant"] = ocispec.Platform{OS: "linux", Architecture: "arm", Variant: word}
		}
		for place, p := range places {
			if err := imagespec.CheckPlatform(p); !errors.Is(err, imagespec.ErrInvalid) {
				t.Errorf("%s %q: %v", place, word, err)
			}
		}
	}
}
