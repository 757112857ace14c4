package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"edge/conformance/proc"
)

const nginxConf = `
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr error;
%[2]s
events { worker_connections 8192; }
http {
	access_log off;
	keepalive_requests 1000000000;
	client_max_body_size 0;
	large_client_header_buffers 4 64k;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[3]s backlog=8192;
		%[4]s
	}
}
`

// Nginx starts an nginx whose server block holds these directives, and returns its address. The test skips where nginx is not
// installed.
func Nginx(t testing.TB, directives string) string {
	t.Helper()
	path, err := proc.Find("nginx")
	if err != nil {
		t.Skip(err)
	}
	addr, err := proc.FreeAddr()
	Must(t, err)
	dir, user := shortTempDir(t), ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	conf := filepath.Join(dir, "nginx.conf")
	Must(t, os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, user, addr, directives), 0o644))
	return peer(t, proc.Spec{Name: "nginx", Path: path, Args: []string{"-e", "stderr", "-p", dir, "-c", conf}}, addr)
}

// Node starts a node program, which is to listen on the host and port it is given as arguments, and returns its address. The
// test skips where node is not installed.
func Node(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	addr, err := proc.FreeAddr()
	Must(t, err)
	return peer(t, proc.Spec{Name: "node", Path: path, Args: []string{"--max-http-header-size=65536", "-e", program, addr}}, addr)
}

func peer(t testing.TB, s proc.Spec, addr string) string {
	t.Helper()
	c, err := proc.Start(s)
	Must(t, err)
	t.Cleanup(func() { _ = c.Stop(syscall.SIGTERM, stopLimit) })
	Must(t, proc.WaitListening(c, addr, startLimit))
	return addr
}
