package relay

import (
	"crypto/tls"
	"errors"
	"io"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
)

// options make what the library wants from what the server has.
func options(config *tls.Config) []dtls.ServerOption {
	return []dtls.ServerOption{
		dtls.WithExtendedMasterSecret(dtls.RequestExtendedMasterSecret),
		dtls.WithLoggerFactory(silent{}),
		dtls.WithGetCertificate(func(h *dtls.ClientHelloInfo) (*tls.Certificate, error) {
			return certificate(config, h.ServerName)
		}),
	}
}

var errNoCertificate = errors.New("there is no certificate")

// certificate asks a TLS configuration for the certificate of a name.
func certificate(config *tls.Config, name string) (*tls.Certificate, error) {
	hello := &tls.ClientHelloInfo{
		ServerName: name, SupportedVersions: []uint16{tls.VersionTLS12},
		CipherSuites:     []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		SupportedCurves:  []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
		SupportedPoints:  []uint8{0},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256, tls.PKCS1WithSHA256},
	}
	if config.GetConfigForClient != nil {
		if other, err := config.GetConfigForClient(hello); err == nil && other != nil {
			config = other
		}
	}
	if config.GetCertificate != nil {
		if c, err := config.GetCertificate(hello); c != nil || err != nil {
			return c, err
		}
	}
	if len(config.Certificates) == 0 {
		return nil, errNoCertificate
	}
	return &config.Certificates[0], nil
}

// silent is a logger that says nothing: what clients do wrong is not for our log.
type silent struct{}

// NewLogger is for the library.
func (silent) NewLogger(string) logging.LeveledLogger {
	return logging.NewDefaultLeveledLoggerForScope("", logging.LogLevelDisabled, io.Discard)
}
