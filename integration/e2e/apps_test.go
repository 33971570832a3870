//go:build e2e

package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// apps runs the application images of examples/ on a cluster that is there, and uses each through its own client.
type apps struct {
	*road
	cluster  string // its name
	dataRoot string
	master   string // any of its masters
}

// all is one test, because each part begins where the one before it ended. It leaves the applications on the cluster.
func (a *apps) all(t *testing.T) {
	if !t.Run("several images in one run", a.several) {
		return
	}
	t.Run("again does nothing", a.nothingAgain)
	t.Run("redis", a.redis)
	t.Run("mysql-cluster", a.mysql)
	t.Run("case config-mysql", a.caseMySQL)
	t.Run("one application of an image", a.oneApplication)
	t.Run("values by Config", a.webValues)
	t.Run("commands of the site's own", a.ownCommand)
}

const (
	redisImage = "redis:7.0"
	mysqlImage = "mysql-cluster:10.11"
	webImage   = "web:v1"
)

// on are the arguments that run images on the cluster.
func (a *apps) on(args ...string) []string {
	return append(args, "--cluster-name", a.cluster, "--data-root", a.dataRoot, "-m", a.master)
}

// several brings both databases, with a variable for one of them.
func (a *apps) several(t *testing.T) {
	both := a.on(a.registry+"/"+redisImage, a.registry+"/"+mysqlImage, "-e", "REDIS_MAXMEMORY=64mb")
	plan := a.succeed(t, append(both, "--dry-run")...)
	for _, want := range []string{"kubectl apply --namespace redis -f manifests", "write rootfs/manifests/redis.yaml", "helm upgrade --install mysql ./charts/mysql"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan lacks %q:\n%s", want, plan)
		}
	}
	out := a.succeed(t, both...)
	for _, image := range []string{redisImage, mysqlImage} {
		if !strings.Contains(out, "cluster "+a.cluster+" runs "+a.registry+"/"+image) {
			t.Errorf("it said %q", out)
		}
	}
}

func (a *apps) nothingAgain(t *testing.T) {
	both := a.on(a.registry+"/"+redisImage, a.registry+"/"+mysqlImage, "-e", "REDIS_MAXMEMORY=64mb")
	out := a.succeed(t, both...)
	if got := strings.Count(out, "nothing to do"); got != 2 {
		t.Errorf("it said %q", out)
	}
	if plan := strings.TrimSpace(a.succeed(t, append(both, "--dry-run")...)); plan != "nothing to do" {
		t.Errorf("the plan is %q", plan)
	}
}

// inPod runs a command in a container of a pod, "redis/redis-0/redis".
func (a *apps) inPod(t *testing.T, pod, command string) string {
	t.Helper()
	out, err := a.tryPod(t, pod, command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (a *apps) tryPod(t *testing.T, pod, command string) (string, error) {
	parts := strings.Split(pod, "/")
	quoted := "'" + strings.ReplaceAll(command, "'", `'\''`) + "'"
	out, err := a.lab.SSH(t.Context(), 1, nil, "KUBECACHEDIR=/tmp/kubectl-cache kubectl exec -n "+parts[0]+" "+parts[1]+" -c "+parts[2]+" -- sh -c "+quoted)
	return strings.TrimSpace(string(out)), err
}

// says waits until a command in a pod prints something.
func (a *apps) says(t *testing.T, pod, command, want string) {
	t.Helper()
	eventually(t, 2*time.Minute, func() error {
		got, err := a.tryPod(t, pod, command)
		if err == nil && got != want {
			err = fmt.Errorf("%s: %s: it says %q, want %q", pod, command, got, want)
		}
		return err
	})
}

// deletePod deletes a pod and waits until its successor is ready.
func (a *apps) deletePod(t *testing.T, namespace, pod string) {
	t.Helper()
	jsonpath := " -o jsonpath='{.metadata.uid} {.status.conditions[?(@.type==\"Ready\")].status}'"
	before, _, _ := strings.Cut(a.kubectl(t, "get pod -n "+namespace+" "+pod+jsonpath), " ")
	a.kubectl(t, "delete pod -n "+namespace+" "+pod)
	eventually(t, 3*time.Minute, func() error {
		out, err := a.lab.SSH(t.Context(), 1, nil, "KUBECACHEDIR=/tmp/kubectl-cache kubectl get pod -n "+namespace+" "+pod+jsonpath)
		uid, ready, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		if err == nil && (uid == before || ready != "True") {
			err = fmt.Errorf("pod %s: ready is %q", pod, ready)
		}
		return err
	})
}

// redis writes on one pod, reads on another, and deletes the primary's.
func (a *apps) redis(t *testing.T) {
	const (
		write = "redis-cli -h $(sh /scripts/start.sh primary) set greeting "
		read  = "redis-cli get greeting"
	)
	if got := a.inPod(t, "redis/redis-0/redis", "redis-cli config get maxmemory | tail -n 1"); got != "67108864" {
		t.Errorf("maxmemory is %s: the variable does not reach the pod", got)
	}
	if got := a.inPod(t, "redis/redis-1/redis", write+"hello"); got != "OK" {
		t.Fatalf("writing: %s", got)
	}
	for _, pod := range []string{"redis/redis-0/redis", "redis/redis-2/redis"} {
		a.says(t, pod, read, "hello")
	}
	primary, _, _ := strings.Cut(a.inPod(t, "redis/redis-2/redis", "sh /scripts/start.sh primary"), ".")
	a.deletePod(t, "redis", primary)
	a.says(t, "redis/"+primary+"/redis", read, "hello")
	a.says(t, "redis/"+primary+"/redis", "redis-cli role | head -n 1", "slave")
	a.says(t, "redis/redis-1/redis", write+"again", "OK")
	a.says(t, "redis/"+primary+"/redis", read, "again")
}

// mysql writes on the primary, reads on a replica, deletes both pods and reads again.
func (a *apps) mysql(t *testing.T) {
	a.inPod(t, "mysql/mysql-0/mysql", `mariadb -e "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, what TEXT); INSERT INTO shop.t VALUES (1, 'tea')"`)
	const read = `mariadb -N -e "SELECT what FROM shop.t ORDER BY id"`
	for _, pod := range []string{"mysql/mysql-1/mysql", "mysql/mysql-2/mysql"} {
		a.says(t, pod, read, "tea")
	}
	a.deletePod(t, "mysql", "mysql-0")
	a.says(t, "mysql/mysql-0/mysql", read, "tea")
	a.inPod(t, "mysql/mysql-0/mysql", `mariadb -e "INSERT INTO shop.t VALUES (2, 'milk')"`)
	a.deletePod(t, "mysql", "mysql-1")
	a.says(t, "mysql/mysql-1/mysql", read, "tea\nmilk")
	if out, err := a.tryPod(t, "mysql/mysql-1/mysql", `mariadb -u nobody -e "SELECT 1"`); err == nil {
		t.Errorf("somebody without a password is let in: %s", out)
	}
}

// clusterfileOf is a Clusterfile for the cluster with further documents.
func (a *apps) clusterfileOf(t *testing.T, image string, documents ...string) string {
	t.Helper()
	text := fmt.Sprintf("apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: %s}\nspec:\n  image: %s\n  dataRoot: %s\n  ssh: {pk: %s}\n  hosts:\n  - {ips: [%s], roles: [master]}\n",
		a.cluster, a.registry+"/"+image, a.dataRoot, a.lab.Key, a.master)
	return a.file(t, strings.Join(append([]string{text}, documents...), "---\n"))
}

func (a *apps) file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "Clusterfile")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// apply runs sealer-run by a Clusterfile, which has the login.
func (a *apps) apply(t *testing.T, file string, args ...string) string {
	t.Helper()
	stdout, stderr, err := a.output(a.command(t.Context(), append([]string{"apply", "-f", file}, args...)...))
	if err != nil {
		t.Fatalf("applying: %v\n%s\n%s", err, stderr, a.lastLog())
	}
	return stdout
}

// webConfig is the Config of the example's own Clusterfile.
func (a *apps) webConfig(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(a.top, "examples/web/Clusterfile"))
	if err != nil {
		t.Fatal(err)
	}
	_, config, found := strings.Cut(string(text), "---\n")
	if !found {
		t.Fatalf("no second document: %s", text)
	}
	return config
}

// webValues merges values into the image's values, changes them, and removes them again.
func (a *apps) webValues(t *testing.T) {
	page := func(want string) {
		t.Helper()
		address := a.kubectl(t, "get service -n web web -o jsonpath='{.spec.clusterIP}'")
		eventually(t, 2*time.Minute, func() error {
			out, err := a.lab.SSH(t.Context(), 1, nil, "curl -sf -m 5 http://"+address)
			if got := strings.TrimSpace(string(out)); err == nil && got != "<title>Web</title>\n"+want {
				err = fmt.Errorf("the page is %q, want %q", got, want)
			}
			return err
		})
	}
	config := a.webConfig(t)
	with := a.clusterfileOf(t, webImage, config)
	a.apply(t, with)
	page("hello from this site")
	if got := a.kubectl(t, "get deployment -n web web -o jsonpath='{.status.readyReplicas}'"); got != "2" {
		t.Errorf("%s pods are ready, the image's own values say 2", got)
	}
	if out := a.apply(t, with); !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q", out)
	}
	more := strings.Replace(config, "    page:\n", "    replicas: 1\n    page:\n", 1)
	a.apply(t, a.clusterfileOf(t, webImage, strings.Replace(more, "this site", "another one", 1)))
	page("hello from another one")
	if got := a.kubectl(t, "get deployment -n web web -o jsonpath='{.spec.replicas}'"); got != "1" {
		t.Errorf("%s pods are wanted, the Config says 1", got)
	}
	a.apply(t, a.clusterfileOf(t, webImage))
	page("hello from the image")
	a.apply(t, with)
	page("hello from this site")
	a.apply(t, a.clusterfileOf(t, webImage))
	page("hello from the image")
}

// caseMySQL applies the old tool's Clusterfile with a Config for the values of this chart: the password is another one then.
func (a *apps) caseMySQL(t *testing.T) {
	text, err := os.ReadFile(a.clusterfile(t, "config-mysql", a.registry+"/"+mysqlImage))
	if err != nil {
		t.Fatal(err)
	}
	document := strings.Replace(string(text), "  name: mysql\n", "  name: "+a.cluster+"\n", 1)
	document = regexp.MustCompile(`(?m)mysql-passwd: .*$`).ReplaceAllLiteralString(document, "mysql-passwd: xxx") // it is no login
	document = regexp.MustCompile(`(?m)^  hosts:$`).ReplaceAllString(document, "  dataRoot: "+a.dataRoot+"\n  ssh: {pk: "+a.lab.Key+"}\n  hosts:")
	file := a.file(t, document)
	a.apply(t, file)
	if got, want := a.kubectl(t, "get secret -n mysql mysql -o jsonpath='{.data.password}'"), base64.StdEncoding.EncodeToString([]byte("xxx")); got != want {
		t.Errorf("the password is %s, want %s", got, want)
	}
	a.kubectl(t, "rollout status -n mysql statefulset/mysql --timeout=5m")
	for _, pod := range []string{"mysql-0", "mysql-1", "mysql-2"} {
		a.says(t, "mysql/mysql-2/mysql", "mariadb -h "+pod+`.mysql -u root -pxxx -N -e "SELECT what FROM shop.t ORDER BY id"`, "tea\nmilk")
	}
	if out := a.apply(t, file); !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q", out)
	}
}

// oneApplication starts only the named one of two applications.
func (a *apps) oneApplication(t *testing.T) {
	a.succeed(t, a.on(a.registry+"/"+webImage, "--app", "probe", "--cmd", "kubectl wait --for=condition=Ready pod/probe --timeout=60s")...)
	if got := a.kubectl(t, "get deployments -A -o name"); strings.Contains(got, "deployment.apps/web") {
		t.Errorf("what was not named was started: %s", got)
	}
}

// ownCommand runs a command in place of the image's, with an argument of its own. Of the applications, it starts the one that runs already.
func (a *apps) ownCommand(t *testing.T) {
	const (
		command = `kubectl create configmap own --from-literal=said="$WORD" --from-file=etc/values.yaml --dry-run=client -o yaml | kubectl apply -f -`
		word    = `it's "so" $HOME`
	)
	args := a.on(a.registry+"/"+webImage, "--app", "probe", "--cmd", command, "--cmd-args", "WORD="+word)
	if plan := a.succeed(t, append(args, "--dry-run")...); strings.Contains(plan, "helm") || !strings.Contains(plan, command) {
		t.Errorf("the plan is\n%s", plan)
	}
	a.succeed(t, args...)
	if got := a.kubectl(t, "get configmap own -o jsonpath='{.data.said}'"); got != word {
		t.Errorf("the command said %q", got)
	}
	if got := a.kubectl(t, "get configmap own -o jsonpath='{.data.values\\.yaml}'"); !strings.Contains(got, "hello from the image") {
		t.Errorf("the command does not run in the image's rootfs: %s", got)
	}
	if out := a.succeed(t, args...); !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q", out)
	}
}
