// Package pki makes certificates for tests: an authority, and whom it speaks for.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Pair is a certificate with its key, in PEM and as crypto/tls has it.
type Pair struct {
	Certificate, Key []byte
	TLS              tls.Certificate
}

// New makes an authority of this name.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign makes a certificate of a template; without a key of its own the authority signs itself.
func (a *Authority) sign(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.certify(c, key, key), key
}

// certify signs a template for a key; own is what the authority signs itself with.
func (a *Authority) certify(c *x509.Certificate, key crypto.Signer, own *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	var err error
	if c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		a.t.Fatal(err)
	}
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, by := c, own
	if a.cert != nil {
		parent, by = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return c
}

// Leaf makes a certificate, good for servers and clients, for these names; an address among them is one, and so is a URI.
func (a *Authority) Leaf(names ...string) Pair {
	return a.LeafUntil(time.Now().Add(time.Hour), names...)
}

// LeafUntil makes one that expires then.
func (a *Authority) LeafUntil(end time.Time, names ...string) Pair {
	a.t.Helper()
	cert, key := a.sign(template(end, names))
	return a.pair(cert, key)
}

// RSA makes one with an RSA key.
func (a *Authority) RSA(names ...string) Pair {
	a.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.pair(a.certify(template(time.Now().Add(time.Hour), names), key, nil), key)
}

func template(end time.Time, names []string) *x509.Certificate {
	c := &x509.Certificate{
		Subject: pkix.Name{Organization: []string{"test"}}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   end.Add(-2 * time.Hour), NotAfter: end,
	}
	for i, name := range names {
		if i == 0 {
			c.Subject.CommonName = name
		}
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else if u, err := url.Parse(name); err == nil && u.Scheme != "" {
			c.URIs = append(c.URIs, u)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

func (a *Authority) pair(cert *x509.Certificate, key crypto.Signer) Pair {
	a.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		TLS:         tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert},
	}
}

// PEM is the authority's own certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Pool is the authority as what a client trusts.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// Write puts a pair into dir as name.pem and name.key and returns the paths.
func (p Pair) Write(t testing.TB, dir, name string) (certificate, key string) {
	t.Helper()
	certificate, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	Put(t, certificate, p.Certificate)
	Put(t, key, p.Key)
	return certificate, key
}

// Put writes a file, in one step.
func Put(t testing.TB, path string, text []byte) {
	t.Helper()
	err := os.WriteFile(path+".new", text, 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}
