package api

import "net/http"

// exposed are the answer headers that scripts in browsers may read.
const exposed = "x-amzn-RequestId, x-amzn-ErrorType, x-amz-RequestId, x-amz-ErrorType, " +
	"x-millrace-authorization-message, Content-Type, Date"

// setCommonHeaders sets what every answer carries. The C producer compares the name
// of the request id with case (wire-media section 9.1), so the names are written past
// the canonical form.
func setCommonHeaders(c *Call) {
	h := c.Writer.Header()
	h["x-amzn-RequestId"] = []string{c.ID}
	h["x-amz-RequestId"] = []string{c.ID}
	if c.Request.Header.Get("Origin") != "" {
		// Calls carry a signature, never cookies, so any page may make them.
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", exposed)
	}
}

// preflight answers the question that browsers ask before a signed call, or one with
// headers of its own. It is not signed itself and tells nothing about what is there.
func preflight(c *Call, methods string) {
	h := c.Writer.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	if asked := c.Request.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", "86400")
	h.Set("Vary", "Origin, Access-Control-Request-Headers")
	c.Writer.WriteHeader(http.StatusNoContent)
}
