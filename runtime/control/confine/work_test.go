package confine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// work does what a server does: each argument is a piece of it, with "=" and what it is about.
func work(args []string) {
	for _, arg := range args {
		what, about, _ := strings.Cut(arg, "=")
		if err := works[what](about); err != nil {
			fmt.Printf("%s: %v\n", arg, err)
			os.Exit(1)
		}
	}
}

var works = map[string]func(about string) error{
	"ready": func(string) error {
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
		return nil
	},
	"limits": func(string) error {
		var core unix.Rlimit
		err := unix.Getrlimit(unix.RLIMIT_CORE, &core)
		dumpable, wrong := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		fmt.Printf("core %d dumpable %d umask %o\n", core.Cur+core.Max, dumpable, unix.Umask(umask))
		return errors.Join(err, wrong)
	},
	"compile": compile,
	"fetch":   fetch,
	"serve":   serve,
	"resolve": func(name string) error {
		ips, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", name)
		if err == nil && len(ips) == 0 {
			err = errors.New("no addresses")
		}
		return err
	},
	"ask": func(server string) error { // a name of a name server
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server)
		}}
		ips, err := r.LookupNetIP(context.Background(), "ip4", "app.test.")
		if err == nil && (len(ips) != 1 || ips[0].String() != "192.0.2.7") {
			err = fmt.Errorf("the answer is %v", ips)
		}
		return err
	},
	"roots": func(string) error { _, err := x509.SystemCertPool(); return err },
	"zone":  func(name string) error { _, err := time.LoadLocation(name); return err },
}

// compile makes machine code of a module, with a cache on disk, and runs it.
func compile(cache string) error {
	ctx := context.Background()
	for range 2 { // the second takes it from the cache
		c, err := wazero.NewCompilationCacheWithDir(cache)
		if err != nil {
			return err
		}
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCompilationCache(c))
		m, err := r.Instantiate(ctx, addWasm)
		if err != nil {
			return err
		}
		if got, err := m.ExportedFunction("add").Call(ctx, 40, 2); err != nil || got[0] != 42 {
			return fmt.Errorf("40+2 = %v, %w", got, err)
		}
		if err := errors.Join(r.Close(ctx), c.Close(ctx)); err != nil {
			return err
		}
	}
	if found, err := filepath.Glob(cache + "/*/*"); err != nil || len(found) == 0 {
		return fmt.Errorf("nothing is in the cache: %w", err)
	}
	return nil
}

// addWasm exports add(i32, i32) i32.
var addWasm = []byte("\x00asm\x01\x00\x00\x00\x01\x07\x01\x60\x02\x7f\x7f\x01\x7f\x03\x02\x01\x00\x07\x07\x01\x03add\x00\x00\x0a\x09\x01\x07\x00\x20\x00\x20\x01\x6a\x0b")

func fetch(url string) error {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "from upstream" {
		return fmt.Errorf("%q, %w", body, err)
	}
	return nil
}

// serve serves files over TLS on the socket it has inherited, until the request for /end.
func serve(root string) error {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	end := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(root)))
	mux.HandleFunc("/end", func(http.ResponseWriter, *http.Request) { close(end) })
	s := &http.Server{Handler: mux}
	go s.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	<-end
	return s.Close()
}

func selfSigned() (c tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// TestWork: a confined child does all that a server does.
func TestWork(t *testing.T) {
	root, cache, _ := place(t)
	plain, secure, six := upstreams(t)
	f := fence(t, Profile{Read: []string{root}, Write: []string{cache}}, Options{Root: os.Getuid() == 0})
	for _, args := range [][]string{
		{"compile=" + cache},
		{"fetch=" + plain},
		{"fetch=" + secure},
		{"fetch=" + six},
		{"resolve=localhost", "ask=" + nameServer(t), "roots", "zone=Europe/Berlin"},
	} {
		if c := f.start(t, nil, "work", args...); c.status != 0 {
			t.Errorf("%v: %sstatus %v", args, c.out, c.status)
		}
	}
}

// TestServe: a confined child serves what is beneath its root over TLS, and what is not is not there.
func TestServe(t *testing.T) {
	needs(t, 1, true)
	root, _, outside := place(t)
	if err := os.Symlink(outside+"/secret", root+"/link"); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := fence(t, Profile{Read: []string{root}}, Options{Root: os.Getuid() == 0})
	ended := make(chan child, 1)
	go func() {
		ended <- f.start(t, func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{file} }, "work", "serve="+root)
	}()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for path, want := range map[string]string{"/sub/page": "200 root/sub/page", "/link": "403 ", "/none": "404 ", "/end": "200 "} {
		if path == "/end" {
			continue // comes last
		}
		resp, err := client.Get("https://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := fmt.Sprintf("%d %s", resp.StatusCode, body); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, %v, want %s", path, got, err, want)
		}
	}
	if resp, err := client.Get("https://" + l.Addr().String() + "/end"); err == nil {
		resp.Body.Close()
	}
	if c := <-ended; c.status != 0 {
		t.Errorf("%sstatus %v", c.out, c.status)
	}
}

// upstreams are servers of this process: over TCP, over TLS, and over TCP by IPv6 or, where there is none, IPv4.
func upstreams(t *testing.T) (plain, secure, six string) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "from upstream") })
	a, b := httptest.NewServer(h), httptest.NewTLSServer(h)
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	six = a.URL
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		c := &http.Server{Handler: h}
		go c.Serve(l)
		t.Cleanup(func() { c.Close() })
		six = "http://" + l.Addr().String()
	}
	return a.URL, b.URL, six
}

// nameServer knows one name.
func nameServer(t *testing.T) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		for buf := make([]byte, 512); ; {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			var p dnsmessage.Message
			if p.Unpack(buf[:n]) != nil || len(p.Questions) != 1 {
				continue
			}
			p.Response, p.Additionals = true, nil
			if q := p.Questions[0]; q.Type == dnsmessage.TypeA {
				p.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}},
				}}
			}
			if out, err := p.Pack(); err == nil {
				c.WriteTo(out, from)
			}
		}
	}()
	return c.LocalAddr().String()
}
