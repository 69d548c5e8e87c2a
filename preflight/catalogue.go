package preflight

// Catalogue lists every check, in the order in which they are done and reported: by category, what others rest on first.
func Catalogue() []Check {
	return []Check{
		serverAnswers(),
		serverVersion(),
		clockSkew(),
		everythingRead(),
		kindsServed(),

		permissionsToRead(),
		permissionsToWrite(),

		meshFound(),
		meshVersion(),
		controlPlaneReady(),
		controlPlaneRedundant(),
		meshRevisions(),
		injectorPresent(),
		nodeAgentsComplete(),
		podsCaptured(),
		proxiesCurrent(),

		rootsValid(),
		issuerValid(),
		issuerTrusted(),
		authorityStrong(),
		rootsAlike(),

		webhooksAnswer(),
		webhooksOnWrites(),
		webhookCertificates(),
		injectorCertificate(),
		apisAvailable(),

		networkPolicyEnforced(),
		nodesReady(),
		dnsFound(),
		apiServerFound(),
		rangesFound(),
		otherPolicies(),
		meshSeesTraffic(),

		podSecurityOn(),

		definitionsCurrent(),
		controllerLeads(),
		leftovers(),
		profilesAgree(),
		exemptionsLast(),
		auditClean(),
	}
}
