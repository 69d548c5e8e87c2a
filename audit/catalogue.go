package audit

import (
	"slices"

	"floe.dev/palisade/model"
)

// Kind is one kind of finding. Its page is docs/findings/<Code>.md.
type Kind struct {
	// Code is one CamelCase word, stable across releases.
	Code string
	// Severities are those with which it is reported, the gravest first.
	Severities []model.Severity
	// Says is what it reports, in a few words; Why what follows from it, Fix what mends it, in a sentence each.
	Says, Why, Fix string
	// OnWire tells that handshakes find it (palisade verify), and no reading of objects.
	OnWire bool
	// Find looks for it; nil where another package reports it.
	Find func(*Evidence) []model.Finding
}

// At is a finding of the kind. The message says what is wrong with the subject
// and what follows from it; an empty fix is that of the kind.
func (k Kind) At(severity model.Severity, subject model.Ref, field, message, fix string) model.Finding {
	if fix == "" {
		fix = k.Fix
	}
	return model.NewFinding(k.Code, severity, subject, field, message, fix)
}

// Catalogue lists every kind of finding, by code.
//
//nolint:funlen // a table, a row each
func Catalogue() []Kind {
	return []Kind{
		apiServerHalfOpen(),
		allowDeniesRest(),
		ambientProbesClosed(),
		authorizationMissingRef(),
		authorizationPolicyBlocks(),
		authorizationPolicyDryRun(),
		authorizationPolicySelectsNothing(),
		authorizationPolicyWidens(),
		budgetOfOthers(),
		certificateExpiring(),
		certificateOverdue(),
		ciliumExclusiveRemovesMeshCNI(),
		clientNotVerified(),
		clientOutsideMesh(),
		dnsClosed(),
		destinationRuleDisablesMTLS(),
		destinationRuleToUnmeshedServer(),
		drainBlocked(),
		exemptionExpired(),
		exemptionExpiring(),
		exemptionInForce(),
		exemptionMatchesNothing(),
		exposedServiceClosed(),
		httpRuleOnTCPPort(),
		httpRuleOnZtunnel(),
		headlessUnderStrict(),
		hostNetworkUnprotected(),
		ipBlockFindsPods(),
		ipBlockMissesPods(),
		inboundNotCaptured(),
		inertLookingIsolation(),
		initContainerBeforeProxy(),
		injectionBelowEnforce(),
		jobNeverEnds(),
		memberRefused(),
		meshAbsent(),
		meshBypass(),
		meshControlPlaneClosed(),
		meshWideDeny(),
		metadataOpen(),
		metricsPortPlaintext(),
		namespaceLabelUnknown(),
		networkPolicyNotEnforced(),
		networkPolicyWidens(),
		nodeLocalDNSClosed(),
		notIsolated(),
		overlappingBudgets(),
		peerAuthenticationDowngrade(),
		peerAuthenticationIgnored(),
		peerAuthenticationShadowed(),
		peerMatchesNothing(),
		permissiveMTLS(),
		plaintextAuthorized(),
		plaintextOnStrictPort(),
		podBelowEnforce(),
		podBelowWarn(),
		podOutsideMesh(),
		podSecurityLabelConflict(),
		podSecurityLabelInvalid(),
		podSecurityUnset(),
		policyPortIsServicePort(),
		policyPortUnknown(),
		policySelectsNothing(),
		policyShadowedByAllowAll(),
		portNotVerified(),
		principalUnknown(),
		probeRefused(),
		probeWithQuery(),
		probesClosed(),
		resolverCutOff(),
		rotationStalled(),
		ruleMatchesNoClient(),
		ruleMatchesNoServer(),
		rulePortIsServicePort(),
		scrapeRefused(),
		serverAccessPolicyOpen(),
		serverFirstPort(),
		serverPortUndeclared(),
		serverShadowed(),
		serverUnproven(),
		sharedServiceAccount(),
		socketLoadBalancingBypassesMesh(),
		strangerAdmitted(),
		trustBundleOutdated(),
		trustBundleSkew(),
		trustDomainMismatch(),
		tunnelErasesPorts(),
		tunnelPortClosed(),
		udpNotProtected(),
		udpOnlyDNS(),
		undeclaredPortsOpen(),
		waypointBypassed(),
		waypointMissing(),
		webhookCanDeadlock(),
		webhookClosed(),
		webhookRefusesAPIServer(),
	}
}

// Kinds are those that handshakes find, or all others.
func Kinds(onWire bool) []Kind {
	return slices.DeleteFunc(Catalogue(), func(k Kind) bool { return k.OnWire != onWire })
}

// Find runs every check of the catalogue.
func Find(e *Evidence) []model.Finding {
	var all []model.Finding
	for _, kind := range Catalogue() {
		if kind.Find != nil {
			all = append(all, kind.Find(e)...)
		}
	}
	slices.SortFunc(all, model.CompareFindings)
	return slices.Compact(all)
}
