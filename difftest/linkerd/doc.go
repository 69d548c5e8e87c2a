// Package difftest holds the client of Linkerd's CA to Linkerd's own identity service.
package difftest
