/**
 * The one vocabulary of reasons: conditions, events, logs and metrics all speak these words, so that what an on-call
 * reads in one place can be searched for in the others. Each entry says what it means.
 */
export const reasons = {
  Available: 'Every destination holds a live version, and it would be allowed.',
  Minted: 'A version is live in the store.',
  Current: 'Every destination holds the current version.',
  Enabled: 'The owner exists, is enabled and may hold this access type.',
  SeenInUse: 'The current version has been seen in use.',
  Steady: 'Nothing is left to do.',
  Progressing: 'Work towards the declared state is under way.',

  Pending: 'The operator has not processed the resource yet.',
  Minting: 'A version is being minted.',
  Delivering: 'A version is being written to its destinations.',
  OwnerNotFound: 'The owner does not exist yet.',
  OwnerDisabled: 'The owner is disabled.',
  OwnerReplaced: 'The owner was deleted and another one has its name.',
  CatalogNotFound: 'The catalog does not exist yet.',
  CatalogReplaced: 'The catalog was deleted, and another one of its name has keys of another format.',
  DestinationNotFound: 'A destination does not exist yet.',
  DestinationUnconfirmed:
    "A destination's name was accepted for another place, or long before the destination was created, and nobody has confirmed the destination.",
  InvalidSpec: 'The specification contradicts itself or the catalog.',
  NotPermitted: 'The owner, the access type or a destination is not allowed here, or a consumer is not open to the operator.',
  DestinationUnavailable: 'A destination does not answer, or refuses the operator.',
  ForeignValue: 'The location holds a value that Keywright did not write; Keywright never overwrites it.',
  LocationTaken: 'Another ApiKey delivers to this location.',
  Expiring: 'The key will expire, and no rotation comes first.',
  Expired: 'The key has expired.',
  Suspended: 'The key is suspended.',
  Revoked: 'The key is revoked.',
  Compromised: 'The key was reported as compromised.',
  StoreUnavailable: 'The database does not answer.',
  ClockWrong: 'The clocks of this machine and of the database are more than a minute apart: nothing is minted or retired.',
  AdmissionPolicyMissing:
    'The admission policy is not in force, or nothing proves that it was when this ApiKey was written: the change can only narrow the key.',

  NotSeenYet: 'The current version has not been seen in use.',
  UsageUnknown: 'Not every authorizer has reported its usage.',
  RolloutInProgress: 'A consumer is still rolling out.',
  RolloutStuck: 'The rollout of a consumer waits for a person.',
  ConsumerNotFound: 'A consumer does not exist yet.',
  Restarted: 'A consumer was restarted, so that it reads the current version.',

  Scheduled: 'A rotation that was due by the schedule.',
  BeforeExpiry: 'A rotation that keeps the key from expiring.',
  Requested: 'A rotation that somebody asked for.',
  Compromise: 'A rotation after a compromise.',
  ValueLost: 'A rotation because the delivered value was lost or changed.',
  OwnerRebound: 'A rotation that binds the key to the present owner.',

  Paused: 'The resource is paused by its annotation.',
  NamespaceTerminating: 'The namespace is being deleted.',
  OverlapRunning: 'A rotation waits until the old version has ended.',
  OutsideWindow: 'A rotation waits for its window.',
  DestinationDrift: 'A location was changed or lost outside Keywright.',
  OrphansHeld: 'Many ApiKeys vanished at once without being deleted. Their keys keep working until somebody confirms.',
  StoreBehind: 'The store is older than a location or the status says: it was restored.',
  HostConflict: 'Another catalog has the host, or is to get it.',
  NotEnforced: 'A member of the specification is set that this version does not enforce.',
  UnknownName: 'A named object does not exist; it grants nothing.',

  Withdrawn: 'A value was removed from a location.',
  Retired: 'An old version has ended.',
  ConflictRetry: 'Another writer was faster; will retry.',
  InternalError: 'A defect in Keywright, or the API server or a quota refuses what the operator needs; the log has the details.',
} as const satisfies Record<string, string>;

/** One word of the vocabulary. */
export type Reason = keyof typeof reasons;
