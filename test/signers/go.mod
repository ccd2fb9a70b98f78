module github.com/millrace/millrace/test/signers

go 1.26.0

require (
	github.com/aws/aws-sdk-go-v2 v1.45.0
	github.com/millrace/millrace v0.0.0
)

require github.com/aws/smithy-go v1.28.1 // indirect

replace github.com/millrace/millrace => ../..
