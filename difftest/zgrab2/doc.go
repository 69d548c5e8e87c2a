// Package zgrab2 measures the probe beside zgrab2, a scanner of the whole
// Internet's TLS, on the same servers in one run.
package zgrab2
