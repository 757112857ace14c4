package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// ClientSource says how to speak TLS as a client.
type ClientSource struct {
	CA          string // PEM: whose certificates are trusted; "" is the system's
	Certificate string // PEM, with Key: who the client is; "" shows nothing
	Key         string
	Insecure    bool // the server's certificate is not looked at
	Open        Opener
}

// Client reads the files and makes what servers of all names are spoken to with: a copy for each needs a ServerName. TLS 1.2 is the least. Its
// error is a *Problem, with the keys "ca", "certificate", "key".
func Client(s ClientSource) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.Insecure}
	if s.CA != "" {
		text, err := ReadFile(s.Open, s.CA)
		if err != nil {
			return nil, &Problem{"ca", err}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, &Problem{"ca", errors.New("there is no certificate in it")}
		}
	}
	if s.Certificate != "" {
		pair, err := readPair(Source{Certificate: s.Certificate, Key: s.Key, Open: s.Open})
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
