//go:build lab

package build

import (
	"testing"
)

func TestTheRootfsComesBeforeTheToolbox(t *testing.T) {
	t.Parallel()
	ref, _ := build(t, files{
		"Kubefile": `FROM scratch
COPY --chmod=755 tar wget /bin/
RUN (tar; wget; command -v awk) > result
`,
		"tar":  "#!/.kubefile/toolbox/bin/sh\necho own tar\n",
		"wget": "#!/.kubefile/toolbox/bin/sh\necho own wget\n",
	})
	if got := pull(t, ref, "linux/amd64").file(t, "result"); got != "own tar\nown wget\n/.kubefile/toolbox/bin/awk\n" {
		t.Errorf("result %q", got)
	}
}

func TestTheRootfsHasItsOwnShell(t *testing.T) {
	t.Parallel()
	ref, _ := build(t, files{"Kubefile": `FROM scratch
COPY --from=docker.io/library/busybox:latest /bin /bin
RUN readlink /proc/$$/exe > result
RUN <<E
#!/bin/sh
readlink /proc/$$/exe >> result
E
`})
	if got := pull(t, ref, "linux/amd64").file(t, "result"); got != "/bin/busybox\n/bin/busybox\n" {
		t.Errorf("the shell is %q", got)
	}
}

func TestToolsOfTheToolbox(t *testing.T) {
	t.Parallel()
	ref, _ := build(t, files{"Kubefile": `FROM scratch
ARG URL
RUN set -e; \
    wget -q $URL; mkdir d; curl -fsSL -o d/a.yaml $URL; timeout 5 wget -qO- $URL | cmp - recommended.yaml; \
    tar -czf a.tgz d && tar -tzf a.tgz > list; \
    sha256sum recommended.yaml d/a.yaml | awk '{print $1}' | sort -u | wc -l > count; \
    wget -q $URL.none || echo wget $? > codes; \
    curl -fsS $URL.none || echo curl $? >> codes; \
    find . -name '*.yaml' | sort | xargs grep -c image: > found; \
    command -v bash gzip sed grep awk find xargs cp mv ln chmod base64 date env id tr cut head tail tee > /dev/null
`}, "--build-arg", "URL=http://"+lab.Upstream+"/files/dashboard/recommended.yaml")
	image := pull(t, ref, "linux/amd64")
	for name, want := range map[string]string{
		"list":  "d/\nd/a.yaml\n",
		"count": "1\n",
		"codes": "wget 8\ncurl 22\n",
		"found": "./d/a.yaml:2\n./recommended.yaml:2\n",
	} {
		if got := image.file(t, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
