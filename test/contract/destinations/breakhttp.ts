import type { FaultProxy, Mood, Picked } from '../../harness/faultproxy.ts';
import type { FaultName } from './faults.ts';

/** How one provider says what only it can say. */
export interface HttpDialect {
  readonly failed: Mood;
  readonly throttled: Mood;
  readonly denied: Mood;
  readonly expired: Mood;
  readonly full: Mood;
  /** The calls that change something. */
  readonly changes: Picked;
}

const common: Partial<Record<FaultName, Mood>> = {
  refused: { kind: 'closed' },
  silent: { kind: 'silent' },
  slow: { kind: 'trickle' },
  reset: { kind: 'reset' },
  truncated: { kind: 'truncated' },
  garbage: { kind: 'garbage' },
  otherJson: { kind: 'json', body: { hello: 'world' } },
  huge: { kind: 'huge' },
  redirect: { kind: 'redirect' },
};

/** Breaks a provider that is spoken to through a proxy. What every HTTP server can do is the same for all of them. */
export async function breakHttp(proxy: FaultProxy, fault: FaultName | 'lostAnswers', dialect: HttpDialect): Promise<void> {
  if (fault === 'lostAnswers') return proxy.become({ kind: 'lost' }, dialect.changes);
  const said: Partial<Record<FaultName, Mood>> = { ...common, ...dialect };
  const mood = said[fault];
  if (mood === undefined) throw new Error(`nothing shows ${fault}`);
  // No room is a question of writes alone.
  return fault === 'full' ? proxy.become(mood, dialect.changes) : proxy.become(mood);
}
