//go:build lab

package build

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/ssh"
)

// The topics of a Dockerfile that are not in TestDockerfileFeatures: each build's file "result" shows whether it behaves like Docker.

func TestDockerfileTopics(t *testing.T) {
	t.Parallel()
	archive := tarball(t, "in/the/archive", "x")
	context := files{
		"a.txt": "a", "b.txt": "b", "dir/c.txt": "c", "dir/sub/d.md": "d", "archive.tar": archive, "secret": "hidden",
	}
	dir := context.write(t)
	for name, tt := range map[string]struct{ kubefile, want string }{
		"args: global with default":   {"ARG V=1\nFROM scratch\nARG V\nARG W=${V}2\nRUN echo ${W:-none} ${X:-unset} > result\n", "12 unset\n"},
		"args: of the platform":       {"FROM --platform=$BUILDPLATFORM scratch\nARG TARGETPLATFORM TARGETARCH BUILDPLATFORM\nRUN echo $TARGETPLATFORM $TARGETARCH $BUILDPLATFORM > result\n", "linux/amd64 amd64 linux/amd64\n"},
		"args: expansion":             {"FROM scratch\nARG N=a-b\nENV M=${N#a} P=${N%b} Q=${N/a/x}\nRUN echo $M $P $Q > result\n", "-b a- x-b\n"},
		"copy: wildcard":              {"FROM scratch\nCOPY *.txt /x/\nRUN ls /x > result\n", "a.txt\nb.txt\n"},
		"copy: several":               {"FROM scratch\nCOPY a.txt dir /x/\nRUN ls /x > result\n", "a.txt\nc.txt\nsub\n"},
		"copy: owner":                 {"FROM scratch\nCOPY --chown=7:8 a.txt /x/\nRUN stat -c %u:%g /x/a.txt > result\n", "7:8\n"},
		"copy: symbolic mode":         {"FROM scratch\nCOPY --chmod=u=rwx,go=rx a.txt /x/\nRUN stat -c %a /x/a.txt > result\n", "755\n"},
		"copy: exclude":               {"FROM scratch\nCOPY --exclude=**/*.md dir /x/\nRUN find /x -type f > result\n", "/x/c.txt\n"},
		"copy: parents":               {"FROM scratch\nCOPY --parents ./dir/sub/d.md /x/\nRUN find /x -type f > result\n", "/x/dir/sub/d.md\n"},
		"copy: link":                  {"FROM scratch\nCOPY --link a.txt /x/\nCOPY --link b.txt /x/\nRUN ls /x > result\n", "a.txt\nb.txt\n"},
		"copy: to a relative path":    {"FROM scratch\nWORKDIR /w\nCOPY a.txt ./x/\nRUN ls /w/x > /result\n", "a.txt\n"},
		"copy: from an image":         {"FROM scratch\nCOPY --from=docker.io/library/busybox:latest /bin/busybox /x/\nRUN test -s /x/busybox && echo copied > result\n", "copied\n"},
		"copy: from a numbered stage": {"FROM scratch\nCOPY a.txt /\nFROM scratch\nCOPY --from=0 /a.txt /result\n", "a"},
		"copy: JSON form":             {"FROM scratch\nCOPY [\"a.txt\", \"/with space\"]\nRUN cat '/with space' > result\n", "a"},
		"add: not unpacked":           {"FROM scratch\nADD --unpack=false archive.tar /\nRUN ls archive.tar > result; rm archive.tar\n", "archive.tar\n"},
		"add: unpacked":               {"FROM scratch\nADD archive.tar /x/\nRUN find /x -type f > result\n", "/x/in/the/archive\n"},
		"env: old form":               {"FROM scratch\nENV A b c\nRUN echo $A > result\n", "b c\n"},
		"env: inherited":              {"FROM scratch AS a\nENV A=1 B=\"two words\"\nFROM a\nRUN echo $A $B > result\n", "1 two words\n"},
		"heredoc: several files":      {"FROM scratch\nCOPY <<A <<B /x/\none\nA\ntwo\nB\nRUN cat /x/A /x/B > result\n", "one\ntwo\n"},
		"heredoc: quoted":             {"FROM scratch\nARG V=1\nCOPY <<'E' /result\n$V\nE\n", "$V\n"},
		"heredoc: as input":           {"FROM scratch\nRUN cat <<E > result\nhello\nE\n", "hello\n"},
		"mount: tmpfs":                {"FROM scratch\nRUN --mount=type=tmpfs,target=/t touch /t/x && ls /t > result\n", "x\n"},
		"mount: context, writable":    {"FROM scratch\nRUN --mount=type=bind,target=/c,rw echo y > /c/a.txt && cat /c/a.txt > result\n", "y\n"},
		"mount: shared cache":         {"FROM scratch AS one\nRUN --mount=type=cache,id=parity,target=/c,sharing=locked echo 1 > /c/x\nFROM scratch\nCOPY --from=one / /\nRUN --mount=type=cache,id=parity,target=/c cat /c/x > result\n", "1\n"},
		"multi-stage: skipped":        {"FROM scratch AS broken\nRUN false\nFROM scratch\nRUN echo fine > result\n", "fine\n"},
		"onbuild: copy and run":       {"FROM scratch AS a\nONBUILD COPY a.txt /x/\nONBUILD RUN cp /x/a.txt /result\nFROM a\n", "a"},
		"workdir: relative":           {"FROM scratch\nWORKDIR /a\nWORKDIR b\nRUN pwd > /result\n", "/a/b\n"},
		"run: exit code kept":         {"FROM scratch\nRUN (exit 3) || echo $? > result\n", "3\n"},
		"run: several lines":          {"FROM scratch\nRUN echo a > result && \\\n    # a comment\n    echo b >> result\n", "a\nb\n"},
		"shell: of the stage":         {"FROM scratch\nSHELL [\"/.kubefile/toolbox/bin/bash\", \"-ec\"]\nRUN echo ${BASH_VERSION:+bash} > result\n", "bash\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := t.TempDir()
			if err := os.CopyFS(own, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(own, "Kubefile"), []byte(tt.kubefile), 0o644); err != nil {
				t.Fatal(err)
			}
			ref := newName(t)
			if output, err := buildx(t, own, "-t", ref, "--push"); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			if got := pull(t, ref, "linux/amd64").file(t, "result"); got != tt.want {
				t.Errorf("result %q, want %q", got, tt.want)
			}
		})
	}
}

// TestSecretsAndSSH: secrets come as files and as variables, an SSH agent as a socket, and nothing of them stays.
func TestSecretsAndSSH(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PARITY_SECRET", "from a variable")
	ref, output := build(t, files{"Kubefile": `FROM scratch
RUN --mount=type=secret,id=one,env=ONE --mount=type=secret,id=one,target=/in/file,mode=0440 \
    test -n "$ONE" && test "$(cat /in/file)" = "$ONE" && stat -c %a /in/file > result
RUN --mount=type=ssh,id=me test -S "$SSH_AUTH_SOCK" && echo agent >> result
RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent && echo optional >> result
`}, "--secret", "id=one,env=PARITY_SECRET", "--ssh", "me="+key)
	image := pull(t, ref, "linux/amd64")
	if got := image.file(t, "result"); got != "440\nagent\noptional\n" {
		t.Errorf("result %q", got)
	}
	for _, layer := range image.manifest.Layers {
		for _, e := range image.entries(t, layer) {
			if strings.HasPrefix(e.Name, "in/file") || strings.HasPrefix(e.Name, "run/secrets/") && e.Size > 0 {
				t.Errorf("a secret left %s", e.Name)
			}
		}
	}
	if strings.Contains(output, "from a variable") {
		t.Errorf("a secret is printed:\n%s", output)
	}
	contains(t, fails(t, files{"Kubefile": "FROM scratch\nRUN --mount=type=secret,id=absent,required=true true\n"}), "Kubefile:2", "secret absent: not found")
}

// TestImageConfig: the config has the settings of the Dockerfile, and a history that accounts for every layer.
func TestImageConfig(t *testing.T) {
	t.Parallel()
	ref, _ := build(t, files{"Kubefile": `FROM scratch
LABEL a=b "c d"="e f"
ENV A=1
WORKDIR /w
EXPOSE 80/tcp
VOLUME /data
STOPSIGNAL SIGINT
HEALTHCHECK CMD true
MAINTAINER somebody
COPY x .
RUN true
USER 7
`, "x": "x"}, "--label", "from=outside")
	image := pull(t, ref, "linux/amd64")
	config := image.config.Config
	if config.Labels["a"] != "b" || config.Labels["c d"] != "e f" || config.Labels["from"] != "outside" || config.WorkingDir != "/w" || config.User != "7" ||
		config.StopSignal != "SIGINT" || len(config.ExposedPorts) != 1 || len(config.Volumes) != 1 || image.config.Author != "somebody" || !slices.Contains(config.Env, "A=1") {
		t.Errorf("config %+v, author %q", config, image.config.Author)
	}
	layers := 0
	for _, h := range image.config.History {
		if !h.EmptyLayer {
			layers++
		}
	}
	if layers != len(image.manifest.Layers) {
		t.Errorf("a history of %d layers for %d", layers, len(image.manifest.Layers))
	}
	if at := slices.IndexFunc(image.config.History, func(h ocispec.History) bool {
		return strings.HasPrefix(h.CreatedBy, "RUN ") && strings.Contains(h.CreatedBy, "true")
	}); at < 0 {
		t.Errorf("history %+v", image.config.History)
	}
}

// TestIgnoreFiles: the Kubefile's own ignore file comes before the context's, and may bring files back.
func TestIgnoreFiles(t *testing.T) {
	t.Parallel()
	context := files{
		"Kubefile":              "FROM scratch\nCOPY . /in/\nRUN cd /in && find . -type f | sort > /result\n",
		".dockerignore":         "keep\n",
		"Kubefile.dockerignore": "*\n!keep\n!dir\ndir/no*\n",
		"keep":                  "x", "drop": "x", "dir/yes": "x", "dir/no": "x",
	}
	ref, _ := build(t, context)
	if got := pull(t, ref, "linux/amd64").file(t, "result"); got != "./dir/yes\n./keep\n" {
		t.Errorf("in the context were %q", got)
	}
}

// TestCacheTravels: what one builder has done, another takes from an exported cache; a local one and one in a registry.
func TestCacheTravels(t *testing.T) {
	t.Parallel()
	dir := files{"Kubefile": "FROM scratch\nRUN head -c 16 /dev/urandom | od -An -tx1 > /result\nCOPY a.yaml /\n", "a.yaml": pod("quay.io/lab/cached:1")}.write(t)
	local, remote := "type=local,mode=max,dest="+filepath.Join(t.TempDir(), "cache"), newName(t)
	first := newName(t)
	builder := newBuilder(t)
	buildOn(t, builder, dir, first, "--export-cache", local)
	buildOn(t, builder, dir, first, "--export-cache", "type=registry,mode=max,ref="+remote) // of two at once buildctl may note the other's digest
	want := pull(t, first, "linux/amd64").file(t, "result")
	for name, from := range map[string]string{"local": strings.Replace(local, "mode=max,dest=", "src=", 1), "registry": "type=registry,ref=" + remote} {
		ref := newName(t)
		buildOn(t, newBuilder(t), dir, ref, "--import-cache", from)
		if got := pull(t, ref, "linux/amd64").file(t, "result"); got != want {
			t.Errorf("%s cache: RUN was run again", name)
		}
	}
}

// TestNamedContexts: an image, another build's output and a replaced stage as contexts.
func TestNamedContexts(t *testing.T) {
	t.Parallel()
	base, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY base.txt /\n", "base.txt": "from the base"})
	for name, tt := range map[string]struct{ kubefile, context, want string }{
		"image for FROM":       {"FROM mine\nRUN cp base.txt result\n", "mine=docker-image://" + base, "from the base"},
		"image for COPY":       {"FROM scratch\nCOPY --from=mine /base.txt /result\n", "mine=docker-image://" + base, "from the base"},
		"image of that name":   {"FROM docker.io/library/alpine:3\nRUN cp base.txt result\n", "docker.io/library/alpine:3=docker-image://" + base, "from the base"},
		"stage of that name":   {"FROM scratch AS early\nRUN false\nFROM early\nRUN cp base.txt result\n", "early=docker-image://" + base, "from the base"},
		"mount from a context": {"FROM scratch\nRUN --mount=from=mine,target=/m cp /m/base.txt result\n", "mine=docker-image://" + base, "from the base"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref, _ := build(t, files{"Kubefile": tt.kubefile}, "--build-context", tt.context)
			if got := pull(t, ref, "linux/amd64").file(t, "result"); got != tt.want {
				t.Errorf("result %q, want %q", got, tt.want)
			}
		})
	}
}

// gitSite serves a repository with the files over git's smart HTTP protocol.
func gitSite(t *testing.T, content files) (url, commit string) {
	t.Helper()
	root, work := t.TempDir(), content.write(t)
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", ".")
	git("commit", "--quiet", "-m", "first")
	git("clone", "--quiet", "--bare", work, filepath.Join(root, "app.git"))
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(git("--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	return server.URL + "/app.git", git("rev-parse", "HEAD")
}

// TestGit: a repository as context, with its .kubefile.yaml, and as a source of ADD.
func TestGit(t *testing.T) {
	t.Parallel()
	url, commit := gitSite(t, files{
		"deploy/Kubefile": "FROM scratch\nCOPY a.yaml /\nRUN cat a.yaml | wc -l > result\n",
		"deploy/a.yaml":   pod("quay.io/lab/from-git:1"),
		"top.txt":         "top",
	})
	ref := newName(t)
	output, err := run(t, tool("buildx"), "build", "--builder", lab.BuildxBuilder, "--progress", "plain", "--provenance", "false",
		"--build-arg", "BUILDKIT_SYNTAX="+lab.Frontend, "--build-arg", "KUBEFILE_MIRRORS="+lab.Mirrors,
		"-f", "Kubefile", "-t", ref, "--push", url+"#main:deploy")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	image := pull(t, ref, "linux/amd64")
	image.checkStore(t, "quay.io/lab/from-git:1")

	ref, _ = build(t, files{"Kubefile": "FROM scratch\nADD " + url + "#" + commit + " /src\nRUN cp /src/top.txt result\n"})
	if got := pull(t, ref, "linux/amd64").file(t, "result"); got != "top" {
		t.Errorf("result %q", got)
	}
}

// TestAddChecks: a download with another checksum fails the build.
func TestAddChecks(t *testing.T) {
	t.Parallel()
	site := chartSite(t, "stored", chart(t, "stored", "docker.io/kubefile/stored:1"))
	sum := digest.FromString(pod("docker.io/kubefile/db:1"))
	build(t, files{"Kubefile": "FROM scratch\nADD --checksum=" + sum.String() + " " + site + "/db.yaml /\n"})
	contains(t, fails(t, files{"Kubefile": "FROM scratch\nADD --checksum=" + digest.FromString("other").String() + " " + site + "/db.yaml /\n"}), "digest mismatch")
}
