package files

import (
	"strings"

	"golang.org/x/sys/unix"

	"edge/filters/message"
)

// coding is a content coding (RFC 9110 section 8.4.1) a sidecar file may have, in the order in which we prefer them.
type coding uint8

const (
	brotli coding = iota
	zstandard
	gzip
	identity
	codings = identity // how many have sidecars
)

var codingNames = [...]string{"br", "zstd", "gzip", "identity"}

var sidecarSuffixes = [codings]string{".br", ".zst", ".gz"}

func (c coding) name() string { return codingNames[c] }

// weights are the q-values of the codings in thousandths, 0 where one is not acceptable.
type weights [codings + 1]int

// unstated is the weight of a coding that the client has not named.
const unstated = -1

// readWeights reads every Accept-Encoding line (RFC 9110 section 12.5.3). A weight that is malformed counts as 0.
func readWeights(h *message.Fields) weights {
	w := weights{unstated, unstated, unstated, unstated}
	others := 0
	for i := range h.Len() {
		name, list := h.At(i)
		if name != "accept-encoding" {
			continue
		}
		for list != "" {
			var item string
			item, list, _ = strings.Cut(list, ",")
			token, weight, weighted := strings.Cut(item, ";")
			q := 1000
			if weighted {
				q = qvalue(strings.Trim(weight, " \t"))
			}
			switch token = strings.Trim(token, " \t"); {
			case token == "*":
				others = q
			case strings.EqualFold(token, "x-gzip"):
				w[gzip] = q
			default:
				for c := range codingNames {
					if strings.EqualFold(token, codingNames[c]) {
						w[c] = q
					}
				}
			}
		}
	}
	for c := range codings {
		if w[c] == unstated {
			w[c] = others
		}
	}
	return w
}

// qvalue reads "q=0.123" in thousandths (RFC 9110 section 12.4.2).
func qvalue(s string) int {
	if len(s) < 3 || len(s) > len("q=0.000") || s[0]|0x20 != 'q' || s[1] != '=' {
		return 0
	}
	s = s[2:]
	if s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0
	}
	q := int(s[0]-'0') * 1000
	for i, unit := 2, 100; i < len(s); i, unit = i+1, unit/10 {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		q += int(s[i]-'0') * unit
	}
	if q > 1000 {
		return 0
	}
	return q
}

// sidecar replaces file by the best sidecar that the client accepts, and says which coding file has then. name's array
// has room for a suffix. A coding below a weight that the client gave to the file as it is counts as not wanted.
func (a *Action) sidecar(h *message.Fields, name []byte, file *found) coding {
	w := readWeights(h)
	for range codings {
		best := identity
		for c := range codings {
			if w[c] > 0 && w[c] >= w[identity] && (best == identity || w[c] > w[best]) {
				best = c
			}
		}
		if best == identity {
			break
		}
		w[best] = 0
		side, errno := a.stat(append(name, sidecarSuffixes[best]...))
		if errno != 0 {
			continue
		}
		if side.isDir || side.sec < file.sec {
			unix.Close(side.fd)
			continue
		}
		unix.Close(file.fd)
		*file = side
		return best
	}
	return identity
}
