module github.com/millrace/millrace/test/e2e

go 1.26.0

require (
	github.com/abema/go-mp4 v1.7.1
	github.com/millrace/millrace v0.0.0
)

require github.com/google/uuid v1.6.0 // indirect

replace github.com/millrace/millrace => ../..
