module github.com/millrace/millrace/test/e2e

go 1.26.0

require github.com/millrace/millrace v0.0.0

replace github.com/millrace/millrace => ../..
