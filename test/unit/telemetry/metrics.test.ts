import { describe, expect, test } from 'vitest';

import { createMetrics } from '../../../operator/src/telemetry/metrics.ts';

describe('metrics', () => {
  test('show everything that is recorded, with units in their names', async () => {
    const { recorder, render } = createMetrics();
    recorder.reconciled({ outcome: 'waiting', reason: 'StoreUnavailable', durationMs: 1_500 });
    recorder.backlogIs(() => ({ full: 7, safety: 2, setAside: 3 }));
    recorder.safetyPassed(40);
    recorder.storeCalled({ operation: 'mint', outcome: 'ok', durationMs: 20 });
    recorder.destinationCalled({ destination: 'vault', operation: 'write', outcome: 'lost', durationMs: 30 });
    recorder.apiCalled({ operation: 'apply', outcome: 'timeout', durationMs: 10_000 });
    recorder.minted('Initial');
    recorder.restarted({ kind: 'DaemonSet', outcome: 'patched' });
    recorder.verified({ code: 'key_expired', durationMs: 0.3 });
    recorder.clockCompared(-7_250);
    recorder.leading(true);
    recorder.fileReloaded({ file: 'tls', successful: true });
    recorder.fileReloaded({ file: 'client-ca', successful: false });
    recorder.connectionDropped({ listener: 'verify', cause: 'displaced' });
    recorder.keyExpires({ namespace: 'payments', name: 'billing' }, Date.parse('2027-01-01T00:00:00Z'));
    recorder.keyExpires({ namespace: 'payments', name: 'gone' }, Date.parse('2027-01-01T00:00:00Z'));
    recorder.keyExpires({ namespace: 'payments', name: 'gone' }, 'never');
    recorder.missing({ waiting: 1, held: 12, heldSince: 1_800_000_000_000 });
    recorder.unserved(2);
    recorder.admission(1_800_000_000_000);
    recorder.held(4);
    recorder.pruned({ feed: 3, audit: 0 });
    recorder.withdrawing(new Map([['mended', 1]]));
    recorder.withdrawing(new Map([['prod-vault', 3]]));
    const { body } = await render();
    for (const line of [
      'keywright_reconcile_duration_seconds_sum{outcome="waiting"} 1.5',
      'keywright_reconciles_total{outcome="waiting",reason="StoreUnavailable"} 1',
      'keywright_queue_depth{queue="full"} 7',
      'keywright_queue_depth{queue="safety"} 2',
      'keywright_queue_depth{queue="set_aside"} 3',
      'keywright_safety_pass_duration_seconds_sum 0.04',
      'keywright_store_call_duration_seconds_sum{operation="mint",outcome="ok"} 0.02',
      'keywright_destination_call_duration_seconds_count{destination="vault",operation="write",outcome="lost"} 1',
      'keywright_api_call_duration_seconds_sum{operation="apply",outcome="timeout"} 10',
      'keywright_versions_minted_total{cause="Initial"} 1',
      'keywright_consumer_restarts_total{kind="DaemonSet",outcome="patched"} 1',
      'keywright_verify_verdicts_total{code="key_expired"} 1',
      'keywright_verify_duration_seconds_count 1',
      'keywright_clock_skew_seconds -7.25',
      'keywright_leader 1',
      'keywright_file_last_reload_successful{file="tls"} 1',
      'keywright_file_last_reload_successful{file="client-ca"} 0',
      'keywright_connections_dropped_total{listener="verify",cause="displaced"} 1',
      'keywright_apikey_expires_timestamp_seconds{namespace="payments",name="billing"} 1798761600',
      'keywright_deliveries_withdrawing{destination="prod-vault"} 3',
      'keywright_store_rows_pruned_total{table="feed"} 3',
      'keywright_store_rows_pruned_total{table="audit"} 0',
      'keywright_orphans{state="waiting"} 1',
      'keywright_orphans{state="held"} 12',
      'keywright_orphans_held_since_timestamp_seconds 1800000000',
      'keywright_keys_unserved 2',
      'keywright_admission_in_force 0',
      'keywright_apikeys_held 4',
      'keywright_admission_away_since_timestamp_seconds 1800000000',
    ]) {
      expect(body.split('\n')).toContain(line);
    }
    expect(body).not.toContain('gone');
    expect(body).not.toContain('mended');
  });

  test('of one registry do not count into another', async () => {
    const first = createMetrics();
    const second = createMetrics({ processMetrics: true });
    first.recorder.minted('Initial');
    first.recorder.admission(1_800_000_000_000);
    expect((await second.render()).body).not.toContain('cause="Initial"');
    // Nobody looks but the leader.
    expect((await second.render()).body).toContain('keywright_admission_in_force 1');
    expect((await second.render()).body).toContain('process_cpu_seconds_total');
  });
});
