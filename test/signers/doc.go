// Package signers compares package sigv4 with the signer of the AWS SDK for Go v2.
//
// It is a module of its own so that the product does not depend on the SDK. The scripts
// beside it record what other signers make: gen_botocore.py (botocore, and its signer in
// C) and gen_js.mjs (the AWS SDK for JavaScript v3) write sigv4/testdata, which plain
// "go test ./sigv4" reads.
package signers
