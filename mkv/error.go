package mkv

import "fmt"

// SyntaxError says that the input is not Matroska this package accepts.
type SyntaxError struct {
	Offset int64  // byte offset in the input where the fault lies
	Reason string // what was wrong, and what would be right
}

// Error gives the offset and the reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("mkv: byte %d: %s", e.Offset, e.Reason)
}

// syntaxError makes a *SyntaxError with a formatted reason.
func syntaxError(offset int64, format string, args ...any) error {
	return &SyntaxError{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// readError wraps an error of the source (or io.ErrUnexpectedEOF) with the
// offset at which more bytes were needed. errors.Is sees the cause.
func readError(offset int64, cause error) error {
	return fmt.Errorf("mkv: byte %d: %w", offset, cause)
}
