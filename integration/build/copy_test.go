//go:build lab

package build

import (
	"archive/tar"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

var (
	randomBases = flag.Int("bases", 0, "on how many bases TestCopyIsDockers tries random lines; 0: until enough of them are linked")
	seed        = flag.Uint64("seed", 1, "what TestCopyIsDockers begins with")
)

// linkedStep is in the output of a build that did not read its base for a copy.
const linkedStep = "[kubefile] link:"

// TestCopyIsDockers: random COPY, ADD and WORKDIR lines on a random base give what Docker's own frontend makes of them, and fail where it
// fails.
func TestCopyIsDockers(t *testing.T) {
	t.Parallel()
	const cases, enough = 10, 8 // for each base; linked
	bases := *randomBases
	if bases == 0 {
		bases = 6
	}
	site := copySite(t)
	var made tally
	for next := *seed; !t.Failed() && next < *seed+uint64(bases) && (*randomBases > 0 || made.linked < enough); next++ {
		t.Run(fmt.Sprintf("seed %d", next), func(t *testing.T) {
			r := &randomCopies{Rand: rand.New(rand.NewPCG(next, 0)), site: site}
			base := r.base(t)
			for i := range cases {
				dir, kubefile := r.context(t, base)
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					t.Parallel()
					made.add(sameAsDocker(t, dir, kubefile))
				})
			}
		})
	}
	t.Logf("%d linked, %d plain, %d fail with Docker, too", made.linked, made.plain, made.failed)
	if *randomBases == 0 && made.linked < enough {
		t.Errorf("only %d cases were linked", made.linked)
	}
}

// tally counts how the builds of [TestCopyIsDockers] ended.
type tally struct {
	mu                    sync.Mutex
	linked, plain, failed int
}

func (t *tally) add(output string, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case failed:
		t.failed++
	case strings.Contains(output, linkedStep):
		t.linked++
	default:
		t.plain++
	}
}

// sameAsDocker builds a directory with our frontend and with Docker's, and fails unless both make the same files, or neither makes any. It
// returns our output, and whether both failed.
func sameAsDocker(t *testing.T, dir, kubefile string) (output string, failed bool) {
	t.Helper()
	exported := t.TempDir()
	ours, dockers := filepath.Join(exported, "ours.tar"), filepath.Join(exported, "dockers.tar")
	output, err := buildx(t, dir, "--output", "type=tar,dest="+ours)
	dockerOutput, dockerErr := run(t, tool("buildx"), "build", "--builder", lab.BuildxBuilder, "--progress", "plain", "--provenance", "false",
		"--output", "type=tar,dest="+dockers, "-f", filepath.Join(dir, "Kubefile"), dir)
	if (err != nil) != (dockerErr != nil) {
		t.Fatalf("one fails and one does not:\n%s\nours: %v\n%s\nDocker's: %v\n%s", kubefile, err, output, dockerErr, dockerOutput)
	}
	if err != nil {
		return output, true
	}
	if got, want := archived(t, ours), archived(t, dockers); difference(got, want) != "" {
		t.Errorf("ours differs:\n%s\n%s\n%s", difference(got, want), kubefile, output)
	}
	return output, false
}

// archived is what the files of an exported rootfs are. Ours and the embedded images are not among them.
func archived(t *testing.T, name string) map[string]string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string]string{}
	for h, data := range tarEntries(t, f) {
		name := strings.TrimSuffix(h.Name, "/")
		if top, _, _ := strings.Cut(name, "/"); top == imagespec.RegistryDir || top == ".kubefile" {
			continue
		}
		modified := "any time"
		if hasOwnTime(h, string(data)) {
			modified = h.ModTime.UTC().Format(time.RFC3339)
		}
		all[name] = fmt.Sprintf("%c %o %d:%d %q %s %s", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname, modified, digest.FromBytes(data))
	}
	return all
}

// hasOwnTime reports whether a file has the time of its source, and not that of the build. Sources of a build here are older than
// everything that a build dates.
func hasOwnTime(h *tar.Header, data string) bool {
	if h.Typeflag == tar.TypeDir {
		return h.ModTime.Unix() > 0 && h.ModTime.Year() < randomBaseYear
	}
	return !strings.HasPrefix(data, undated)
}

// copyBase is a base with what hides what a path is: directories with a dot in their names, and links.
var copyBase = files{
	"Kubefile": `FROM scratch
LABEL io.kubefile.kubernetes.version=v1.34.4
COPY rootfs/ /
COPY --chown=7:8 --chmod=700 owned /srv/owned
`,
	"rootfs/etc/sysctl.d/10-base.conf":    "base",
	"rootfs/etc/v1/keep":                  "base",
	"rootfs/charts/app-1.2.3/Chart.yaml":  "name: app\nversion: 1.2.3\n",
	"rootfs/charts/app-1.2.3/values.yaml": "a: b\n",
	"rootfs/opt/tools/keep":               "base",
	"rootfs/opt/file":                     "base",
	"rootfs/mysql/keep":                   "base",
	"rootfs/srv/Ünicode/keep":             "base",
	"owned/in/file":                       "base",
}

// copyCase is instructions that copy onto a base.
type copyCase struct {
	lines        string
	plain, fails bool
}

// check compares with Docker what becomes of a build of the directory.
func (tt copyCase) check(t *testing.T, base, own string) {
	t.Helper()
	kubefile := "FROM " + base + "\n" + tt.lines + "\n"
	for _, name := range below(t, own) { // BuildKit's cache does not know times
		date(t, filepath.Join(own, name), time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	if err := os.WriteFile(filepath.Join(own, "Kubefile"), []byte(kubefile), 0o644); err != nil {
		t.Fatal(err)
	}
	output, failed := sameAsDocker(t, own, kubefile)
	if failed != tt.fails {
		t.Errorf("fails: %v\n%s", failed, output)
	}
	explicit := strings.Contains(tt.lines, "--link") && strings.Count(tt.lines, "\n") == 0
	if linked := strings.Contains(output, linkedStep); !failed && linked == (tt.plain || explicit) {
		t.Errorf("linked: %v\n%s", linked, output)
	}
}

// TestCopiesIntoTheBase: what used to be guessed by the look of a name.
func TestCopiesIntoTheBase(t *testing.T) {
	t.Parallel()
	dir := copyBase.write(t)
	for name, target := range map[string]string{"etc/current": "v1", "srv/absolute": "/opt/tools", "srv/dangling": "../nowhere/else", "srv/file": "../opt/file"} {
		if err := os.Symlink(target, filepath.Join(dir, "rootfs", name)); err != nil {
			t.Fatal(err)
		}
	}
	base := newName(t)
	if output, err := buildx(t, dir, "-t", base, "--push"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	context := files{
		"99-site.conf": "site\n", "one/a.conf": "a\n", "two/a.conf": "a\n", "two/b.conf": "b\n", "values.yaml": "c: e\n", "mysql/my.cnf": "m\n",
		"tool.sh": "#!/bin/sh\ntrue\n", "keep/x": "x\n", "archive.tar": tarball(t, "in/archive", "x"),
	}
	for name, tt := range map[string]copyCase{
		"file to a directory with a dot":       {lines: "COPY 99-site.conf etc/sysctl.d"},
		"several to a directory with a dot":    {lines: "COPY two/* etc/sysctl.d"},
		"one by a pattern":                     {lines: "COPY one/* etc/sysctl.d"},
		"nothing by a pattern":                 {lines: "COPY none*.conf etc/sysctl.d"},
		"file into a chart":                    {lines: "COPY values.yaml charts/app-1.2.3"},
		"directory of the same name":           {lines: "COPY mysql mysql"},
		"file without extension":               {lines: "COPY tool.sh opt/tools"},
		"directory by a link":                  {lines: "COPY two etc/current"},
		"directory by a link with a slash":     {lines: "COPY two/ etc/current/"},
		"file below a link":                    {lines: "COPY 99-site.conf etc/current/site.conf"},
		"below an absolute link":               {lines: "COPY 99-site.conf two /srv/absolute/"},
		"to a dangling link":                   {lines: "COPY two /srv/dangling/"},
		"file to a link to a file":             {lines: "COPY 99-site.conf /srv/file"},
		"owner and mode":                       {lines: "COPY --chown=3:4 --chmod=640 two /new/parents/conf"},
		"directory keeps owner and mode":       {lines: "COPY 99-site.conf /srv/owned/"},
		"WORKDIR through links":                {lines: "WORKDIR /etc/current/new\nCOPY two .\nWORKDIR ..\nCOPY 99-site.conf ./keep2"},
		"later lines see earlier ones":         {lines: "COPY two new.d\nCOPY 99-site.conf new.d\nCOPY --link one /etc/linked.d/\nCOPY 99-site.conf /etc/linked.d"},
		"heredoc":                              {lines: "COPY <<E /etc/sysctl.d\nnow:\nE"},
		"URL":                                  {lines: "ADD http://" + lab.Upstream + "/files/dashboard/recommended.yaml etc/sysctl.d"},
		"non-ASCII":                            {lines: "COPY 99-site.conf /srv/Ünicode"},
		"explicit link":                        {lines: "COPY --link 99-site.conf /etc/sysctl.d"},
		"explicit link over a link":            {lines: "COPY --link two /etc/current/"},
		"archive":                              {lines: "ADD archive.tar etc/current", plain: true},
		"directory to a file":                  {lines: "COPY two /opt/file", fails: true},
		"below a file":                         {lines: "COPY 99-site.conf /opt/file/x", fails: true},
		"file to a directory's place":          {lines: "COPY keep /opt/tools", fails: false},
		"directory to a file in the directory": {lines: "COPY two /new/\nCOPY two /new/a.conf", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.check(t, base, context.write(t))
		})
	}
}

// TestTreesAreHandedOn: every image derived by copies has the tree of its own rootfs, and nothing of a base is pulled to make it. A tree that
// another tool's build has inherited is not believed.
func TestTreesAreHandedOn(t *testing.T) {
	base, _ := build(t, files{"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY x one.d/\n", "x": "x"})
	builder := newBuilder(t)
	for i, lines := range []string{"COPY y two.d/\nCOPY y one.d\n", "LABEL a=b\n", "WORKDIR /two.d\nCOPY y three\n", "COPY --link y /two.d/three.d/\n", "COPY y three.d\n"} {
		before := accessLog(t)
		ref := newName(t)
		buildOn(t, builder, files{"Kubefile": "FROM " + base + "\n" + lines, "y": "y"}.write(t), ref)
		log := accessLog(t)[len(before):]
		for _, layer := range pull(t, base, "linux/amd64").manifest.Layers {
			if downloaded(t, log, base, imagespec.Layer{Descriptor: layer}) > 0 {
				t.Errorf("build %d: layer %s of the base was pulled", i, layer.Digest)
			}
		}
		if _, ok := imagespec.RootfsTree(pull(t, ref, "linux/amd64").config); !ok {
			t.Errorf("build %d: no tree", i)
		}
		base = ref
	}
	if got := pull(t, base, "linux/amd64").file(t, "two.d/three.d/y"); got != "y" {
		t.Errorf("the file is %q", got)
	}

	dir := files{"Dockerfile": "FROM " + base + "\nCOPY y /four.d/\n", "y": "y"}.write(t)
	foreign := newName(t)
	if output, err := run(t, tool("buildx"), "build", "--builder", lab.BuildxBuilder, "--provenance", "false", "--push", "-t", foreign, dir); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	ref, output := build(t, files{"Kubefile": "FROM " + foreign + "\nCOPY z /four.d\n", "z": "z"})
	if strings.Contains(output, linkedStep) {
		t.Errorf("linked by a tree that is not the image's:\n%s", output)
	}
	image := pull(t, ref, "linux/amd64")
	if got := image.file(t, "four.d/z"); got != "z" {
		t.Errorf("the file is %q", got)
	}
	if _, ok := imagespec.RootfsTree(image.config); !ok {
		t.Error("a base that was read gives no tree")
	}
}
