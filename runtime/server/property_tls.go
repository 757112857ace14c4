package server

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"

	"edge/filters"
)

// connectionProperty is an attribute of the client's connection. What a handshake has settled does not change, so it may be asked for
// at any time.
func (x *exchange) connectionProperty(name string) (filters.Value, bool) {
	cn := x.conn
	switch name {
	case "id":
		return number(int64(cn.c.ID())), true
	case "mtls":
		v := filters.Value{Kind: filters.Bool}
		if cn.peerCertificate() != nil {
			v.Num = 1
		}
		return v, true
	case "tls_version":
		return text(versionName(cn.tlsVersion)), cn.tlsVersion != 0
	case "requested_server_name":
		return text(cn.name), cn.name != ""
	}
	if cert := cn.peerCertificate(); cert != nil {
		return certificateProperty(cert, name)
	}
	return filters.Value{}, false
}

func certificateProperty(cert *x509.Certificate, name string) (filters.Value, bool) {
	switch name {
	case "subject_peer_certificate":
		return text(cert.Subject.String()), true
	case "dns_san_peer_certificate":
		if len(cert.DNSNames) > 0 {
			return text(cert.DNSNames[0]), true
		}
	case "uri_san_peer_certificate":
		if len(cert.URIs) > 0 {
			return text(cert.URIs[0].String()), true
		}
	case "sha256_peer_certificate_digest":
		sum := sha256.Sum256(cert.Raw)
		return text(hex.EncodeToString(sum[:])), true
	}
	return filters.Value{}, false
}

// peerCertificate is the client's, which has been checked; nil where it has shown none.
func (cn *conn) peerCertificate() *x509.Certificate {
	if cn.tlsVersion == 0 {
		return nil
	}
	if list := cn.wire.TLS().PeerCertificates; len(list) > 0 {
		return list[0]
	}
	return nil
}

// versionName is a version of TLS as logs and filters see it; "" is none.
func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return ""
}
