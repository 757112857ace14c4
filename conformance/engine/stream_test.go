package engine

import (
	"fmt"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
	"edge/conformance/strict"
)

// streamBudget is the most that RSS may grow while a body of any size passes through.
const streamBudget = 32 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// noise is a block of bytes that does not repeat within 64 KiB boundaries: a lost, doubled or moved block shows in the sum.
func noise(i int, block []byte) {
	x := uint64(i)*0x9e3779b97f4a7c15 + 1
	for at := 0; at+8 <= len(block); at += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for k := range 8 {
			block[at+k] = byte(x >> (8 * k))
		}
	}
}

// pour writes size bytes of noise and returns their sum.
func pour(w io.Writer, size int64) (sum uint32, err error) {
	block := make([]byte, 256<<10)
	for i := 0; size > 0; i++ {
		part := block[:min(size, int64(len(block)))]
		noise(i, part)
		sum = crc32.Update(sum, castagnoli, part)
		if _, err := w.Write(part); err != nil {
			return sum, err
		}
		size -= int64(len(part))
	}
	return sum, nil
}

// drink reads size bytes and returns their sum.
func drink(r io.Reader, size int64) (uint32, error) {
	h := crc32.New(castagnoli)
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, io.LimitReader(r, size), make([]byte, 256<<10))
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	return h.Sum32(), err
}

// TestGiBThrough: a download and an upload of 1 GiB arrive byte for byte, and memory stays where it was, by length and chunked,
// also where the taker is slower than the giver.
func TestGiBThrough(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() || rig.Race {
		size = 64 << 20
	}
	sums := make(chan uint32, 1)
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		q, err := c.ReadHead()
		if err != nil {
			return
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
		switch q.Target {
		case "/down":
			_ = c.Say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
			sum, _ := pour(c.TCPConn, size)
			sums <- sum
		case "/down-close":
			_ = c.Say("HTTP/1.1 200 OK\r\n\r\n")
			sum, _ := pour(c.TCPConn, size)
			sums <- sum
		case "/up":
			sum, err := drink(c.R, size)
			if err != nil {
				_ = c.Say("HTTP/1.1 500 Short\r\nContent-Length: 0\r\n\r\n")
				return
			}
			_ = c.Say(rig.OK(fmt.Sprint(sum)))
		}
	})
	e := rig.Start(t, rig.Config{Log: "level = \"info\"", Rest: helloRoute + rig.Upstream("", o)})
	if _, err := askOnce(e.Addr, helloRequest); err != nil {
		t.Fatal(err)
	}
	before, err := proc.RSS(e.PID())
	rig.Must(t, err)

	c := rig.Dial(t, e.Addr)
	c.Send("GET /down HTTP/1.1\r\nHost: a\r\n\r\n")
	rig.Must(t, c.SetDeadline(time.Now().Add(5*time.Minute)))
	p, n, err := strict.ReadResponseHead(c.R, "GET")
	if err != nil || p.Status != 200 || n != size {
		t.Fatalf("download: %+v, %d, %v", p, n, err)
	}
	got, err := drink(c.R, size)
	if want := <-sums; err != nil || got != want {
		t.Errorf("download: sum %08x, want %08x, %v", got, want, err)
	}

	c = rig.Dial(t, e.Addr)
	c.Send(fmt.Sprintf("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size))
	rig.Must(t, c.SetDeadline(time.Now().Add(5*time.Minute)))
	want, err := pour(c.TCPConn, size)
	rig.Must(t, err)
	if p := c.Response("POST"); p.Status != 200 || string(p.Body) != fmt.Sprint(want) {
		t.Errorf("upload: %d, sum %s, want %d", p.Status, p.Body, want)
	}

	// A response without a length comes chunked; what is checked here is the sum of its chunks' bytes.
	c = rig.Dial(t, e.Addr)
	c.Send("GET /down-close HTTP/1.1\r\nHost: a\r\n\r\n")
	rig.Must(t, c.SetDeadline(time.Now().Add(5*time.Minute)))
	p, _, err = strict.ReadResponseHead(c.R, "GET")
	if err != nil || p.Status != 200 || p.Framing != strict.Chunked {
		t.Fatalf("download without a length: %+v, %v", p, err)
	}
	got, err = drink(&unchunk{c: c}, size)
	if want := <-sums; err != nil || got != want {
		t.Errorf("download without a length: sum %08x, want %08x, %v", got, want, err)
	}

	peak, err := proc.PeakRSS(e.PID())
	rig.Must(t, err)
	t.Logf("%d MiB each way: RSS %d KiB before, %d KiB at most", size>>20, before>>10, peak>>10)
	if grown := peak - before; grown > streamBudget && !rig.Race {
		t.Errorf("RSS grew by %d KiB, budget %d", grown>>10, streamBudget>>10)
	}
}

// unchunk reads the bytes of a chunked body as a stream.
type unchunk struct {
	c    *rig.Client
	left int64
}

func (u *unchunk) Read(p []byte) (int, error) {
	if u.left == 0 {
		var n int64
		if _, err := fmt.Fscanf(u.c.R, "%x\r\n", &n); err != nil {
			return 0, err
		}
		if n == 0 {
			return 0, io.EOF
		}
		u.left = n
	}
	n, err := u.c.R.Read(p[:min(int64(len(p)), u.left)])
	u.left -= int64(n)
	if u.left == 0 && err == nil {
		var end [2]byte
		if _, err = io.ReadFull(u.c.R, end[:]); err == nil && string(end[:]) != "\r\n" {
			err = fmt.Errorf("a chunk is followed by %q", end)
		}
	}
	return n, err
}

// TestBackPressure: a giver is held back while the taker does not take: what waits in edge stays bounded.
func TestBackPressure(t *testing.T) {
	const size = 256 << 20
	took := make(chan int64, 1)
	o := rig.NewOrigin(t, func(c *rig.OriginConn) {
		q, err := c.ReadHead()
		if err != nil {
			return
		}
		if q.Target == "/down" {
			_ = c.Say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
			var sent int64
			block := make([]byte, 64<<10)
			for sent < size {
				_ = c.SetWriteDeadline(time.Now().Add(time.Second))
				n, err := c.TCPConn.Write(block)
				sent += int64(n)
				if err != nil {
					break
				}
			}
			took <- sent
		}
	})
	e := rig.Start(t, rig.Config{Log: "level = \"info\"", Limits: "min_rate = \"1B/60s\"", Rest: helloRoute + rig.Upstream("", o)})
	if _, err := askOnce(e.Addr, helloRequest); err != nil {
		t.Fatal(err)
	}
	before, err := proc.RSS(e.PID())
	rig.Must(t, err)
	c := rig.Dial(t, e.Addr)
	c.Send("GET /down HTTP/1.1\r\nHost: a\r\n\r\n") // and reads nothing
	sent := <-took
	peak, err := proc.PeakRSS(e.PID())
	rig.Must(t, err)
	t.Logf("an origin could send %d KiB to a client that does not read; RSS grew by %d KiB", sent>>10, (peak-before)>>10)
	if sent >= 64<<20 {
		t.Errorf("the origin could send %d MiB to a client that does not read", sent>>20)
	}
	if peak-before > 8<<20 && !rig.Race {
		t.Errorf("RSS grew by %d KiB", (peak-before)>>10)
	}
}
