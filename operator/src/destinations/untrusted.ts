import { Failure, type FailureDetail } from '../domain/failure.ts';

/**
 * The one sentence for every answer that does not prove a Vault or AWS at the other end: refused, silent, another protocol,
 * another server. If a status told them apart, the author of a KeyDestination could scan the operator's network.
 */
function noTrustworthyAnswer(server: string, detail: FailureDetail): Failure {
  const message = `no trustworthy answer from ${server}; the log of the operator has the cause`;
  const isSilent = detail.class !== 'answer';
  return new Failure({
    ...{ kind: 'waiting', reason: 'DestinationUnavailable', message, detail },
    ...(isSilent ? { unanswered: true } : {}),
  });
}

/** For a server that should be Vault. */
export function noVault(detail: FailureDetail): Failure {
  return noTrustworthyAnswer('the Vault server', detail);
}

/** For a server that should be AWS. */
export function noAws(detail: FailureDetail): Failure {
  return noTrustworthyAnswer('AWS', detail);
}
