package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
)

// target is the stream that media is sent to.
type target struct {
	client    *client.Client
	stream    string // name or ARN
	create    bool
	retention int64 // hours, of a stream that is created
}

// How long a stream may take to become ACTIVE, and how often it is asked.
const (
	creationPatience = time.Minute
	creationStep     = 250 * time.Millisecond
)

// ready returns the retention, in hours, of the stream, which is ACTIVE then. With absent
// true it does not exist and shall be created.
func (t *target) ready(ctx context.Context) (retention int64, absent bool, err error) {
	retention, err = t.active(ctx)
	if missing(err) && t.create {
		return 0, true, nil
	}
	return retention, false, err
}

// created creates the stream and returns its retention when it is ACTIVE.
func (t *target) created(ctx context.Context) (retention int64, err error) {
	if err := t.make(ctx); err != nil {
		return 0, err
	}
	return t.active(ctx)
}

// active waits until the stream is no longer CREATING and returns its retention.
func (t *target) active(ctx context.Context) (retention int64, err error) {
	info, err := t.describe(ctx)
	deadline := time.Now().Add(creationPatience)
	for err == nil && wire.Value(info.Status) == wire.StatusCreating {
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("the stream %s is still CREATING after %v", t.stream, creationPatience)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(creationStep):
		}
		info, err = t.describe(ctx)
	}
	if err != nil {
		return 0, err
	}
	return wire.Value(info.DataRetentionInHours), nil
}

func (t *target) describe(ctx context.Context) (*wire.StreamInfo, error) {
	var in wire.DescribeStreamInput
	in.StreamName, in.StreamARN = nameOrARN(t.stream)
	var out wire.DescribeStreamOutput
	if err := t.client.Call(ctx, wire.DescribeStream, &in, &out); err != nil {
		return nil, err
	}
	if out.StreamInfo == nil {
		return nil, errors.New("DescribeStream: the answer says nothing about the stream")
	}
	return out.StreamInfo, nil
}

// make creates the stream. Somebody else may be faster.
func (t *target) make(ctx context.Context) error {
	if strings.HasPrefix(t.stream, "arn:") {
		return &usageError{"put", "--create wants the name of the stream: the server gives it its ARN"}
	}
	in := &wire.CreateStreamInput{StreamName: &t.stream, DataRetentionInHours: &t.retention}
	err := t.client.Call(ctx, wire.CreateStream, in, nil)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Exception == "ResourceInUseException" {
		return nil
	}
	return err
}

// named adds the stream to an error that says that it does not exist.
func named(stream string, err error) error {
	if stream != "" && missing(err) {
		return fmt.Errorf("%s: %w", stream, err)
	}
	return err
}

// missing says whether an error means that there is no such stream.
func missing(err error) bool {
	refused, ok := errors.AsType[*client.Error](err)
	return ok && refused.Exception == "ResourceNotFoundException"
}
