package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// TestOpenSSL: another implementation, its bytes three at a time, with the keys changed between lines, by it and at its request, and
// then a resumed session.
func TestOpenSSL(t *testing.T) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h, config := new(Handshakes), serverConfig(0)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f := &fed{Conn: c, t: t, feed: 3}
			var s Stream
			s.Server(config, h)
			if err = shake(f, &s); err == nil {
				err = echo(f, &s)
				s.Bye(f)
			}
			ended <- err
			c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	session := t.TempDir() + "/session"
	for _, args := range []string{"-tls1_3 -sess_out " + session, "-tls1_3 -sess_in " + session, "-tls1_2"} {
		cmd := exec.CommandContext(ctx, program, append([]string{"s_client", "-connect", l.Addr().String(), "-servername", "edge.test"}, strings.Fields(args)...)...)
		in, _ := cmd.StdinPipe()
		out, to := io.Pipe()
		cmd.Stdout, cmd.Stderr = to, to
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewReader(out)
		keys := []string{"", "K\n", "K\n", "k\n", "K\n"}
		if strings.Contains(args, "tls1_2") {
			keys = []string{"", "", ""}
		}
		for i, key := range keys {
			want := fmt.Sprintf("line %d of %s\n", i, strings.Repeat("x", i*500))
			await := func(text string) {
				for line := ""; line != text; {
					if line, err = said.ReadString('\n'); err != nil {
						t.Fatalf("%s, %q: %v", args, key, err)
					}
				}
			}
			if io.WriteString(in, key); key != "" {
				await("KEYUPDATE\n")
			}
			io.WriteString(in, want)
			await(want)
		}
		io.WriteString(in, "Q\n")
		in.Close()
		go io.Copy(io.Discard, said)
		cmd.Wait()
		if err := <-ended; err != io.EOF && err != io.ErrUnexpectedEOF {
			t.Errorf("%s: %v", args, err)
		}
	}
	if got := h.Counts(); got.Full != 2 || got.Resumed != 1 {
		t.Errorf("%+v", got)
	}
	// R78: keys that change over and over with nothing in between end the connection.
	cmd := exec.CommandContext(ctx, program, "s_client", "-connect", l.Addr().String(), "-tls1_3")
	in, _ := cmd.StdinPipe()
	out, to := io.Pipe()
	cmd.Stdout, cmd.Stderr = to, to
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		to.Close()
	}()
	said := bufio.NewReader(out)
	for updates := 0; updates < 30; updates++ {
		io.WriteString(in, "k\n")
		for line := ""; err == nil && line != "KEYUPDATE\n"; {
			line, err = said.ReadString('\n')
		}
		if err != nil {
			break
		}
	}
	go io.Copy(io.Discard, said)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "too many non-advancing records") {
		t.Errorf("%v", err)
	}
	in.Close()
}
