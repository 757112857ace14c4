// Package certs holds the certificates of TLS listeners: reads and checks them, picks one by the name a client asks for, follows their
// files, and owns the keys of session tickets.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// SelfSigned stands for the path of a certificate that is made in memory, for development.
const SelfSigned = "self-signed"

// MaxFile is the size of the largest file that is read, in bytes.
const MaxFile = 1 << 20

// Auth is what a client has to show of itself.
type Auth uint8

// The kinds of client authentication.
const (
	AuthNone     Auth = iota
	AuthOptional      // a certificate is asked for, and checked if there is one
	AuthRequired      // there is no connection without
)

// Opener opens a file for reading; nil opens it as this process may. It is called by whoever reads or looks at files.
type Opener func(path string) (*os.File, error)

// Source says where a certificate is to be read from. Paths are as Open takes them.
type Source struct {
	Name        string // in the configuration
	Certificate string // PEM, the leaf first, or SelfSigned
	Key         string // PEM
	ClientCA    string // PEM; "" where there is no client authentication
	Auth        Auth
	Open        Opener

	// Own is what MakeSelfSigned has made, for SelfSigned: processes that share it show the same certificate. nil: one is made.
	Own []byte
}

// Certificate is one certificate with its key and what it asks of clients. It never changes.
type Certificate struct {
	name  string
	pair  tls.Certificate
	names []string // lower case; "*.example.com" for a wildcard
	auth  Auth
	cas   *x509.CertPool
	group [32]byte // who shares it may resume each other's sessions

	authorities [32]byte // tells cas from others
}

// Problem is an error of one of a source's files.
type Problem struct {
	Key string // of the configuration: "certificate", "key", "client_ca"
	Err error
}

// Error is the error, without the key.
func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap is the error's cause.
func (p *Problem) Unwrap() error { return p.Err }

// Read reads and checks a certificate; its error is a *Problem. A certificate that has expired, or is not valid yet, is no error: Expires
// and Begins tell.
func Read(s Source, now time.Time) (*Certificate, error) {
	c := &Certificate{name: s.Name, auth: s.Auth}
	var err error
	if s.Certificate == SelfSigned {
		c.pair, err = ownPair(s, now)
	} else {
		c.pair, err = readPair(s)
	}
	if err != nil {
		return nil, err
	}
	var ca []byte
	if s.ClientCA != "" {
		if ca, err = ReadFile(s.Open, s.ClientCA); err != nil {
			return nil, &Problem{"client_ca", err}
		}
		c.cas = x509.NewCertPool()
		if !c.cas.AppendCertsFromPEM(ca) {
			return nil, &Problem{"client_ca", errors.New("there is no certificate in it")}
		}
	}
	for _, name := range c.pair.Leaf.DNSNames {
		c.names = append(c.names, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	for _, ip := range c.pair.Leaf.IPAddresses {
		c.names = append(c.names, ip.String())
	}
	c.authorities = sha256.Sum256(ca)
	c.group = sha256.Sum256(fmt.Appendf(nil, "%q %d %x", c.name, c.auth, c.authorities))
	return c, nil
}

func readPair(s Source) (pair tls.Certificate, err error) {
	chain, err := ReadFile(s.Open, s.Certificate)
	if err != nil {
		return pair, &Problem{"certificate", err}
	}
	key, err := ReadFile(s.Open, s.Key)
	if err != nil {
		return pair, &Problem{"key", err}
	}
	if err := checkLeaf(chain); err != nil {
		return pair, &Problem{"certificate", err}
	}
	if pair, err = tls.X509KeyPair(chain, key); err != nil {
		return pair, &Problem{"key", errors.New(strings.TrimPrefix(err.Error(), "tls: "))}
	}
	return pair, nil
}

// checkLeaf looks whether the first certificate can be read, so that what is wrong besides is the key's.
func checkLeaf(chain []byte) error {
	for {
		block, rest := pem.Decode(chain)
		switch {
		case block == nil:
			return errors.New("there is no certificate in PEM in it")
		case block.Type == "CERTIFICATE":
			_, err := x509.ParseCertificate(block.Bytes)
			return err
		}
		chain = rest
	}
}

// ReadFile reads a file of at most MaxFile bytes.
func ReadFile(open Opener, path string) ([]byte, error) {
	if open == nil {
		open = os.Open
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(text) > MaxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, MaxFile)
	}
	return text, err
}

// selfSignedTime is how long a self-signed certificate is good for: browsers refuse longer ones.
const selfSignedTime = 397 * 24 * time.Hour

func ownPair(s Source, now time.Time) (pair tls.Certificate, err error) {
	text := s.Own
	if text == nil {
		if text, err = MakeSelfSigned(now); err != nil {
			return pair, err
		}
	}
	return tls.X509KeyPair(text, text)
}

// MakeSelfSigned makes a certificate for names of this machine that only it has, and its key, both in PEM.
func MakeSelfSigned(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost", Organization: []string{"edge, self-signed"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedTime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost", "*.localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...), nil
}

// Name is the certificate's name in the configuration.
func (c *Certificate) Name() string { return c.name }

// Names are the host names and addresses that it is good for, in lower case, wildcards as "*.example.com".
func (c *Certificate) Names() []string { return c.names }

// Begins is when it becomes valid.
func (c *Certificate) Begins() time.Time { return c.pair.Leaf.NotBefore }

// Expires is when it is no longer valid.
func (c *Certificate) Expires() time.Time { return c.pair.Leaf.NotAfter }

// covers says whether it is good for a host name in lower case.
func (c *Certificate) covers(host string) bool {
	for _, n := range c.names {
		if n == host {
			return true
		}
		if wild, ok := strings.CutPrefix(n, "*"); ok && parent(host) == wild {
			return true
		}
	}
	return false
}

// parent is a name without its first label, from the dot on; "" where nothing follows one.
func parent(host string) string {
	if i := strings.IndexByte(host, '.'); i > 0 && i < len(host)-1 {
		return host[i:]
	}
	return ""
}
