package llb

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/solver/pb"
)

// withCharts is what a build makes of a Dockerfile: charts first, then the toolbox.
func withCharts(t *testing.T, st llb.State) llb.State {
	t.Helper()
	st, err := WithCharts(t.Context(), st, toolboxImage())
	if err != nil {
		t.Fatal(err)
	}
	return withToolbox(t, st)
}

func TestChartsAreFetchedApartFromTheBase(t *testing.T) {
	for name, dockerfile := range map[string]string{
		"chart-cluster": `FROM kubernetes:v1
ENV HTTPS_PROXY=http://evil SSL_CERT_FILE=/evil.pem VERSION=1.2.0
USER 1000
WORKDIR /srv
RUN ["/.kubefile/chart","--checksum=sha256:x","oci://registry.example.com/charts/web:${VERSION}","/applications/web/"]
`,
		"chart-scratch": `FROM scratch
ARG VERSION=1
RUN ["/.kubefile/chart","helm://example.com/a@$VERSION","helm://example.com/b@2","/applications/ab/"]
RUN ls /applications
`,
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, withCharts(t, compile(t, dockerfile)))
		})
	}
}

// TestNothingOfTheBaseIsNearTheCredentials: whatever a base sets, and wherever the step stands, the steps with the secret have the frontend's
// image as their root, nothing else mounted from anywhere, and no environment.
func TestNothingOfTheBaseIsNearTheCredentials(t *testing.T) {
	const step = `RUN ["/.kubefile/chart","oci://registry.example.com/charts/web:1","/applications/web/"]` + "\n"
	for name, dockerfile := range map[string]string{
		"ENV of the base":      "FROM kubernetes:v1\nENV HTTPS_PROXY=http://evil https_proxy=http://evil ALL_PROXY=socks5://evil NO_PROXY=\n" + step,
		"certificates":         "FROM kubernetes:v1\nENV SSL_CERT_FILE=/evil.pem SSL_CERT_DIR=/evil\nCOPY evil.pem /\n" + step,
		"ARG with a default":   "FROM kubernetes:v1\nARG HTTPS_PROXY=http://evil\nARG SSL_CERT_FILE=/evil\n" + step,
		"loader and home":      "FROM kubernetes:v1\nENV LD_PRELOAD=/evil.so HOME=/evil DOCKER_CONFIG=/evil GODEBUG=x PATH=/evil\n" + step,
		"SHELL, USER, WORKDIR": "FROM kubernetes:v1\nSHELL [\"/evil\"]\nUSER evil\nWORKDIR /evil\n" + step,
		"another stage":        "FROM kubernetes:v1 AS a\nENV HTTPS_PROXY=http://evil\n" + step + "FROM scratch\nCOPY --from=a /applications /applications/\n",
		"mounted stage":        "FROM kubernetes:v1 AS a\nENV HTTPS_PROXY=http://evil\n" + step + "FROM debian\nRUN --mount=from=a,target=/a ls /a\n",
		"an ordinary image":    "FROM debian\nENV HTTPS_PROXY=http://evil\n" + step,
		"after a RUN":          "FROM debian\nENV HTTPS_PROXY=http://evil\nRUN echo >/etc/hosts\n" + step + "RUN ls\n",
	} {
		t.Run(name, func(t *testing.T) {
			g, err := readGraph(t.Context(), withCharts(t, compile(t, dockerfile)))
			if err != nil {
				t.Fatal(err)
			}
			steps := 0
			for _, dgst := range g.order {
				exec := g.vertices[dgst].op.GetExec()
				if exec == nil || !slices.ContainsFunc(exec.Mounts, func(m *pb.Mount) bool { return m.MountType == pb.MountType_SECRET }) {
					continue
				}
				steps++
				root, ok := g.at(&pb.Input{Digest: dgst}).root().image()
				if !ok || !strings.HasPrefix(root, "registry.example.com/frontend@") || len(g.at(&pb.Input{Digest: dgst}).chain()) != 2 {
					t.Errorf("it stands on %q", root)
				}
				if len(g.vertices[dgst].op.Inputs) != 1 {
					t.Errorf("it reads %d file systems, not its own image alone", len(g.vertices[dgst].op.Inputs))
				}
				if m := exec.Meta; len(m.Env) != 0 || m.User != "" || m.Cwd != "/" || m.ProxyEnv != nil || m.Args[0] != program {
					t.Errorf("it runs as %v", m)
				}
				if len(g.vertices[dgst].locations.GetLocations()) == 0 {
					t.Error("it has no place in the Kubefile")
				}
			}
			if steps != 1 {
				t.Errorf("%d steps have the credentials, want 1", steps)
			}
		})
	}
}

func TestTheBuildsOwnProxyHolds(t *testing.T) {
	st := compileWith(t, "FROM kubernetes:v1\nRUN [\"/.kubefile/chart\",\"oci://r.example.com/a:1\",\"/applications/a/\"]\n", func(opt *dockerfile2llb.ConvertOpt) {
		opt.BuildArgs = map[string]string{"HTTPS_PROXY": "http://proxy.example.com", "no_proxy": "r.example.com", "SSL_CERT_FILE": "/x"}
		opt.ExtraHosts = []llb.HostIP{{Host: "r.example.com", IP: []byte{10, 0, 0, 1}}}
		opt.NetworkMode = pb.NetMode_HOST
	})
	g, err := readGraph(t.Context(), withCharts(t, st))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range g.vertices {
		exec := v.op.GetExec()
		if exec == nil {
			continue
		}
		if p := exec.Meta.ProxyEnv; p == nil || p.HttpsProxy != "http://proxy.example.com" || p.NoProxy != "r.example.com" {
			t.Errorf("proxy %v", p)
		}
		if h := exec.Meta.ExtraHosts; len(h) != 1 || h[0].IP != "10.0.0.1" {
			t.Errorf("hosts %v", h)
		}
		if exec.Network != pb.NetMode_HOST || len(exec.Meta.Env) != 0 {
			t.Errorf("network %v, environment %v", exec.Network, exec.Meta.Env)
		}
	}
}

func TestOnlyOwnStepsHaveTheCredentials(t *testing.T) {
	for name, dockerfile := range map[string]string{
		"a RUN":              "FROM kubernetes:v1\nRUN --mount=type=secret,id=kubefile.dockerconfig cat /run/secrets/kubefile.dockerconfig\n",
		"an environment":     "FROM kubernetes:v1\nRUN --mount=type=secret,id=kubefile.dockerconfig,env=A echo $A\n",
		"another stage":      "FROM debian AS a\nRUN --mount=type=secret,id=kubefile.dockerconfig true\nFROM scratch\nCOPY --from=a / /\n",
		"the old chart":      "FROM kubernetes:v1\nRUN --mount=type=secret,id=kubefile.dockerconfig [\"/.kubefile/toolbox/bin/chart\",\"oci://a\",\"/b\"]\n",
		"the cache of blobs": "FROM debian\nRUN --mount=type=cache,id=kubefile/blobs,target=/c ls /c\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := WithCharts(t.Context(), compile(t, dockerfile), toolboxImage())
			var at *parser.LocationError
			if !errors.As(err, &at) || at.Locations[0][0].Start.Line != 2 {
				t.Errorf("got %v, want an error at line 2", err)
			}
		})
	}
	st := compile(t, "FROM debian\nRUN --mount=type=secret,id=own --mount=type=cache,target=/c --mount=type=ssh true\n")
	if _, err := WithCharts(t.Context(), st, toolboxImage()); err != nil {
		t.Errorf("the user's own mounts: %v", err)
	}
}
