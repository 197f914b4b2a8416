import { inspectOperatorPolicy } from '../api/admission/inspect.ts';
import { Failure } from '../domain/failure.ts';
import type { Clock } from '../domain/time.ts';
import type { PolicyPair } from '../resources/kube/admission.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** What {@link watchOwnPolicy} needs. */
export interface OwnPolicyInit {
  readonly lookUp: () => Promise<PolicyPair>;
  readonly operatorNamespace: string;
  readonly metrics: Pick<Metrics, 'ownPolicy'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const lookEveryMs = 60_000;
/** How often the log repeats it. */
const sayEveryMs = 3_600_000;

/**
 * Warns while the policy that limits the operator's own account is missing or changed. It stops nothing: the policy protects
 * against a stolen token, and stopping the operator would not. Ends with the signal; never rejects.
 */
export async function watchOwnPolicy(init: OwnPolicyInit): Promise<void> {
  const { clock, log, metrics, signal } = init;
  let said: { readonly why: string; readonly atMs: number } | undefined;
  while (!signal.aborted) {
    const why = await deviationOf(init);
    metrics.ownPolicy(why === undefined);
    const isNews = why !== said?.why || (said !== undefined && clock.monotonicMs() - said.atMs >= sayEveryMs);
    if (isNews && why === undefined) log.info("policy for the operator's account in force");
    if (isNews && why !== undefined) log.warn("policy for the operator's account not in force", { message: why });
    if (isNews) said = why === undefined ? undefined : { why, atMs: clock.monotonicMs() };
    await clock.sleep(lookEveryMs, signal).catch(() => undefined);
  }
}

async function deviationOf({ lookUp, operatorNamespace }: OwnPolicyInit): Promise<string | undefined> {
  try {
    const { policy, binding } = await lookUp();
    const found = inspectOperatorPolicy(operatorNamespace, policy, binding);
    return found.kind === 'inForce' ? undefined : found.why;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return `it cannot be checked: ${error.message}`;
  }
}
