package certs

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// TicketTime is how long one key encrypts session tickets. It decrypts them for as long again; so a session is resumed for at least
// this time, and at most twice.
const TicketTime = 12 * time.Hour

// Seed is what the keys of session tickets are made from, at one time. Processes that begin with the same seed have the same keys for
// ever, and need not speak of them again.
type Seed struct {
	Epoch  int64 // number of TicketTimes since 1970
	Secret [32]byte
}

// NewSeed is a seed that nobody else has.
func NewSeed(now time.Time) Seed {
	s := Seed{Epoch: epoch(now)}
	rand.Read(s.Secret[:]) // crypto/rand: it does not fail
	return s
}

func epoch(now time.Time) int64 { return now.Unix() / int64(TicketTime/time.Second) }

// Tickets owns the keys of session tickets. A secret makes the next one and is forgotten after its time, so that who learns one cannot
// read what was encrypted before (a ratchet); and every group of certificates has keys of its own, so that a ticket that was given to a
// client of one cannot be used with another, whose rules about clients may differ (threat R78, CVE-2025-23419).
type Tickets struct {
	now func() time.Time

	mu   sync.Mutex
	seed Seed     // of the present time
	last [32]byte // the secret before
}

// NewTickets makes the owner. What was encrypted before seed cannot be decrypted.
func NewTickets(seed Seed, now func() time.Time) *Tickets {
	t := &Tickets{now: now, seed: seed}
	rand.Read(t.last[:])
	return t
}

// Seed is the present seed, for another process.
func (t *Tickets) Seed() Seed {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance()
	return t.seed
}

// advance moves on to the present time. A clock that has gone back changes nothing.
func (t *Tickets) advance() {
	for now := epoch(t.now()); t.seed.Epoch < now; t.seed.Epoch++ {
		if now-t.seed.Epoch > maxSteps {
			t.seed = NewSeed(t.now())
			rand.Read(t.last[:])
			return
		}
		t.last = t.seed.Secret
		t.seed.Secret = derive(t.seed.Secret, "next")
	}
}

// maxSteps is how far a clock may jump, in TicketTimes, before keys are made anew instead: some 13 years.
const maxSteps = 10_000

// keys are a group's keys, the present one first, and the number of the time they are for.
func (t *Tickets) keys(group [32]byte) (keys [2][32]byte, number int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance()
	name := "tickets " + string(group[:])
	return [2][32]byte{derive(t.seed.Secret, name), derive(t.last, name)}, t.seed.Epoch
}

// number is that of the present time.
func (t *Tickets) number() int64 { return epoch(t.now()) }

func derive(secret [32]byte, what string) (key [32]byte) {
	b, err := hkdf.Expand(sha256.New, secret[:], what, len(key))
	if err != nil {
		panic("certs: " + err.Error()) // only for a longer key
	}
	copy(key[:], b)
	return key
}
