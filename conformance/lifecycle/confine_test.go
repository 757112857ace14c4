package lifecycle

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"edge/conformance/pki"
	"edge/conformance/proc"
	"edge/conformance/rig"
	"edge/runtime/control/confine"
)

// inForce is what the kernel says of a child, by the name in /proc/PID/status.
func inForce(t testing.TB, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	rig.Must(t, err)
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}

// holds checks what is in force.
func holds(t testing.TB, pid int, want map[string]string) {
	t.Helper()
	got := inForce(t, pid)
	for key, w := range want {
		if got[key] != w {
			t.Errorf("%s of pid %d is %q, want %q", key, pid, got[key], w)
		}
	}
}

// limitsOf are soft and hard limit of a process.
func limitsOf(t testing.TB, pid int, name string) (soft, hard string) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	rig.Must(t, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			f := strings.Fields(rest)
			return f[0], f[1]
		}
	}
	t.Fatalf("no limit %q", name)
	return "", ""
}

// confined is what the status says of children: how they are confined, and which there are.
type confined struct {
	Sandbox struct {
		State   string
		UID     int
		Seccomp bool
	}
	Children []struct {
		PID   int
		State string
	}
}

func statusOf(t testing.TB, e *rig.Edge) (s confined) {
	t.Helper()
	answer, err := e.AdminClient().Get("http://localhost/status.json")
	rig.Must(t, err)
	defer answer.Body.Close()
	rig.Must(t, json.NewDecoder(answer.Body).Decode(&s))
	return s
}

// TestSandbox: a child is confined, unless the file says otherwise; the control process and the one process of --single are not.
func TestSandbox(t *testing.T) {
	support := confine.Probe()
	for _, c := range []struct{ sandbox, seccomp string }{{"on", "2"}, {"off", "0"}} {
		t.Run(c.sandbox, func(t *testing.T) {
			if !support.Seccomp {
				t.Skip("this kernel has no seccomp")
			}
			e := rig.Start(t, rig.Config{Server: fmt.Sprintf("sandbox = %q\n", c.sandbox), Rest: "[[routes]]\nrespond = {}\n"})
			holds(t, e.PID(), map[string]string{"Name": "edge-child", "NoNewPrivs": "1", "Seccomp": c.seccomp, "Umask": "0077", "CapAmb": "0000000000000000"})
			if os.Getuid() == 0 {
				holds(t, e.PID(), map[string]string{"CapPrm": "0000000000000006", "CapBnd": "0000000000000006"})
			}
			state := map[bool]string{true: "on", false: "partly"}[len(support.Missing()) == 0]
			if c.sandbox == "off" {
				state = "off"
			}
			if got := statusOf(t, e).Sandbox; got.State != state || got.UID != os.Getuid() || got.Seccomp != (c.seccomp == "2") {
				t.Errorf("the status has %+v, want state %q", got, state)
			}
			holds(t, e.Child.PID(), map[string]string{"NoNewPrivs": "0", "Seccomp": "0"})
			if soft, hard := limitsOf(t, e.PID(), "Max core file size"); soft != "0" || hard != "0" {
				t.Errorf("a child may dump %s, %s bytes of core", soft, hard)
			}
			soft, hard := limitsOf(t, e.PID(), "Max open files")
			if may, err := strconv.Atoi(soft); err != nil || soft != hard && strconv.Itoa(may+1) != hard { // Go leaves one out
				t.Errorf("a child may open %s files, and could %s", soft, hard)
			}
		})
	}
}

// TestReach: what children reach follows the configuration. A reload that names what they do not begins a generation that does; without one
// it stays out of reach, for root too.
func TestReach(t *testing.T) {
	if confine.Probe().Landlock == 0 {
		t.Skip("this kernel has no Landlock")
	}
	dir := open(t)
	for _, name := range []string{"one", "two", "modules", "elsewhere"} {
		rig.Must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	public(t, dir+"/one/page", []byte("one"))
	public(t, dir+"/two/page", []byte("two"))
	public(t, dir+"/modules/v0.wasm", versionModule(t, 0))
	public(t, dir+"/modules/v1.wasm", versionModule(t, 1))
	public(t, dir+"/elsewhere/v2.wasm", versionModule(t, 2))
	lead := func(to string) {
		t.Helper()
		rig.Must(t, os.Symlink(to, dir+"/modules/new"))
		rig.Must(t, os.Rename(dir+"/modules/new", dir+"/modules/version.wasm"))
	}
	lead("v0.wasm")
	rest := func(root string) string {
		return fmt.Sprintf("[filters.version]\nmodule = %q\n[[routes]]\nfilters = [\"version\"]\nfiles = { root = %q }\n", dir+"/modules/version.wasm", root)
	}
	h := &house{t: t}
	h.Edge = rig.Start(t, rig.Config{Log: "level = \"info\"\n", Rest: rest(dir + "/one")})
	h.head = strings.TrimSuffix(h.read(), rest(dir+"/one")+"\n")
	once := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}} // nothing keeps a child that retires
	want := func(version int, body string) {
		t.Helper()
		answer, err := once.Get("http://" + h.Addr + "/page")
		rig.Must(t, err)
		defer answer.Body.Close()
		got, err := io.ReadAll(answer.Body)
		if err != nil || string(got) != body || answer.Header.Get("X-Version") != versionText(version) {
			t.Errorf("%s %q with %q, %v; want %q with %s", answer.Status, got, answer.Header.Get("X-Version"), err, body, versionText(version))
		}
	}
	reload := func(root string) {
		t.Helper()
		h.write(h.head + rest(root))
		if status, said := h.reload(); status != 0 {
			t.Errorf("edge reload: status %d, %s", status, said)
		}
	}
	want(0, "one")
	first := h.PID()

	lead("v1.wasm")
	within(t, "the new module is taken up", func() bool { return swapsOf(h.Edge, "swapped") == 1 })
	want(1, "one")
	if h.PID() != first {
		t.Error("a new module beside the old one has begun a generation")
	}

	lead(dir + "/elsewhere/v2.wasm")
	within(t, "the module out of reach is refused", func() bool {
		return strings.Contains(h.Log.String(), "permission denied")
	})
	want(1, "one")

	reload(dir + "/one")
	within(t, "a child that reaches it serves", func() bool { return h.PID() != first })
	second := h.PID()
	want(2, "one")

	reload(dir + "/two")
	within(t, "a child that reaches the other directory serves", func() bool { return h.PID() != second })
	want(2, "two")
}

// swapsOf is how many swaps of the filter "version" have ended one way.
func swapsOf(e *rig.Edge, result string) int {
	return int(e.Metrics().Sum("edge_filter_swaps_total", `filter="version"`, `result="`+result+`"`))
}

// open is a temporary directory that everybody may enter.
func open(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "edge-open-")
	rig.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	rig.Must(t, os.Chmod(dir, 0o755))
	return dir
}

// public puts a file in place that everybody may read.
func public(t testing.TB, path string, text []byte) {
	t.Helper()
	rig.Must(t, os.WriteFile(path, text, 0o644))
	rig.Must(t, os.Chmod(path, 0o644))
}

// lowPort is a loopback address with a free port that only root may bind.
func lowPort(t testing.TB) string {
	for port := 1023; port > 0; port-- {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Skip("no port below 1024 can be bound")
	return ""
}

// TestRootBecomesNobody (P2): the control process binds what only root may, opens what only root may, and its children are nobody.
func TestRootBecomesNobody(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give its children another user")
	}
	const nobody = 65534
	dir, cache := open(t), open(t)+"/cache"
	rig.Must(t, os.Mkdir(dir+"/www", 0o755))
	rig.Must(t, os.Mkdir(dir+"/secret", 0o700))
	public(t, dir+"/www/page", []byte("a page"))
	module := dir + "/version.wasm"
	public(t, module, versionModule(t, 0))
	authority := pki.New(t, "root")
	keep := func(p pki.Pair) (certificate, key string) {
		certificate, key = p.Write(t, dir+"/secret", "main")
		rig.Must(t, os.Chmod(key, 0o600))
		return certificate, key
	}
	certificate, key := keep(authority.Leaf("edge.test"))
	low := lowPort(t)
	rest := func(more string) string {
		return fmt.Sprintf(`
[[listen]]
address = %q
certificates = ["main"]
[certificates.main]
certificate = %q
key = %q
[filters.version]
module = %q
[[routes]]
match = { path = "/www/*" }
filters = ["version"]
files = { root = %q, strip = "/www" }
%s
`, low, certificate, key, module, dir+"/www", more)
	}
	h := &house{t: t}
	h.Edge = rig.Start(t, rig.Config{Server: fmt.Sprintf("user = \"nobody\"\nchildren = 2\ncache = %q\n", cache), Log: "level = \"info\"\n", Rest: rest("")})
	h.head = strings.TrimSuffix(h.read(), rest("")+"\n")

	none := "0000000000000000"
	ids := fmt.Sprintf("%d %[1]d %[1]d %[1]d", nobody)
	holds(t, h.PID(), map[string]string{"Name": "edge-child", "Uid": ids, "Gid": ids, "Groups": fmt.Sprint(nobody), "CapPrm": none, "CapEff": none,
		"CapInh": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1"})
	holds(t, h.Child.PID(), map[string]string{"Uid": "0 0 0 0"})
	status := statusOf(t, h.Edge)
	if status.Sandbox.UID != nobody {
		t.Errorf("the status has %+v", status.Sandbox)
	}
	var listed []int // on the scoreboard
	for _, c := range status.Children {
		listed = append(listed, c.PID)
		holds(t, c.PID, map[string]string{"Name": "edge-child", "Uid": ids, "Gid": ids, "CapPrm": none})
	}
	slices.Sort(listed)
	if there := proc.Children(h.Child.PID()); !slices.Equal(listed, there) || len(there) != 2 {
		t.Errorf("the status has the children %v, there are %v", listed, there)
	}
	owner := func(path string) int {
		t.Helper()
		info, err := os.Stat(path)
		rig.Must(t, err)
		return int(info.Sys().(*syscall.Stat_t).Uid)
	}
	if uid := owner(fmt.Sprintf("/proc/%d/environ", h.PID())); uid != 0 {
		t.Errorf("who is %d may look into a child", uid)
	}

	serial := ""
	want := func(version int) {
		t.Helper()
		c := &http.Client{Timeout: patience, Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), ServerName: "edge.test"},
		}}
		answer, err := c.Get("https://" + low + "/www/page")
		rig.Must(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || string(body) != "a page" || answer.Header.Get("X-Version") != versionText(version) {
			t.Errorf("%s %q, version %q, %v", answer.Status, body, answer.Header.Get("X-Version"), err)
		}
		serial = answer.TLS.PeerCertificates[0].SerialNumber.String()
	}
	want(0)
	before := serial
	kept := 0
	rig.Must(t, filepath.WalkDir(cache, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			kept++
		}
		if err == nil && owner(path) != nobody {
			t.Errorf("%s in the cache belongs to user %d", path, owner(path))
		}
		return err
	}))
	if kept == 0 {
		t.Error("nothing is in the cache of compiled modules")
	}

	first := h.PID()
	keep(authority.Leaf("edge.test"))
	rig.Must(t, os.WriteFile(module+".new", versionModule(t, 1), 0o644))
	rig.Must(t, os.Rename(module+".new", module))
	if status, said := h.reload(); status != 0 {
		t.Errorf("edge reload: status %d, %s", status, said)
	}
	want(1)
	if serial == before {
		t.Error("the certificate after the reload is the one before")
	}
	if h.PID() != first {
		t.Error("the reload was not in place")
	}
	within(t, "the access log has two lines", func() bool { return strings.Count(h.AccessLog(), "/www/page") == 2 })

	// What nobody may not read is a problem with its line, and what to do about it.
	h.write(h.head + rest(fmt.Sprintf("[[routes]]\nfiles = { root = %q }\n", dir+"/secret")))
	line := 1 + slices.IndexFunc(strings.Split(h.read(), "\n"), func(l string) bool { return strings.Contains(l, dir+"/secret\" }") })
	code, said := h.reload()
	for _, part := range []string{fmt.Sprintf("edge.toml:%d: ", line), "permission denied", `make it readable for user "nobody"`} {
		if code != 1 || !strings.Contains(said, part) {
			t.Errorf("edge reload: status %d, %s; want 1 and %q", code, said, part)
		}
	}
	want(1)
}
