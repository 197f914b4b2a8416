import { Failure, type FailureDetail } from '../domain/failure.ts';

/**
 * The one sentence for everything that proves no Vault and no AWS at the other end: refused, silent, another protocol, another
 * server. Telling them apart in a status would let the author of a KeyDestination scan the operator's network.
 */
function noTrustworthyAnswer(server: string, detail: FailureDetail): Failure {
  const message = `no trustworthy answer from ${server}; the log of the operator has the cause`;
  const isSilent = detail.class !== 'answer';
  return new Failure({
    ...{ kind: 'waiting', reason: 'DestinationUnavailable', message, detail },
    ...(isSilent ? { unanswered: true } : {}),
  });
}

/** Of what should be a Vault server. */
export function noVault(detail: FailureDetail): Failure {
  return noTrustworthyAnswer('the Vault server', detail);
}

/** Of what should be AWS. */
export function noAws(detail: FailureDetail): Failure {
  return noTrustworthyAnswer('AWS', detail);
}
