import { describe, expect, test } from 'vitest';

import { choosePrimary, provenForMs, surveyOf } from '../../../operator/src/store/primary.ts';
import type { HostView, PrimarySurvey } from '../../../operator/src/store/primary.ts';

const silent: HostView = { kind: 'silent' };
const nowMs = Date.UTC(2026, 0, 1);
/** By clocks that agree, except as far as `aheadMs` says that the one that wrote it is ahead. */
const lastOf = (beats: number | undefined, ageMs: number, aheadMs = 0) =>
  beats === undefined ? {} : { last: { beats, at: nowMs - ageMs + aheadMs, ageMs } };
const primary = (timeline: number, beats?: number, ageMs = 1_000, aheadMs = 0): HostView => ({
  kind: 'primary',
  timeline,
  ...lastOf(beats, ageMs, aheadMs),
});
const standby = (beats?: number, ageMs = 1_000, aheadMs = 0): HostView => ({
  kind: 'standby',
  ...lastOf(beats, ageMs, aheadMs),
});

describe('the host to use', () => {
  test.each<readonly [string, readonly HostView[], number | undefined]>([
    ['is the one that accepts writes', [standby(), primary(1)], 1],
    ['is the one of the latest promotion, wherever it stands', [primary(1), primary(2)], 1],
    ['is the first of equals', [silent, primary(3), primary(3)], 1],
    ['is the promoted one, although it lacks the last heartbeats', [primary(1, 100), primary(2, 97)], 1],
    ['is not one that was cut off and promoted twice: the operator writes elsewhere', [primary(3, 90), primary(2, 100)], 1],
    ['is not one that has no heartbeat, while another has', [primary(5), primary(1, 100)], 1],
    [
      'is the most recently promoted one of those that the operator may write to',
      [primary(3, 6), primary(2, 8), primary(1, 10)],
      1,
    ],
    ['is the one in use before the operator, which was down, goes on', [primary(1, 100), primary(2, 100), standby(100)], 1],
    ['is the one that the operator writes to, although it lagged when promoted', [primary(1, 200, 120_000), primary(2, 80)], 1],
    ['is still that one while the operator is down', [primary(1, 200, 300_000), primary(2, 90, 180_000)], 1],
    [
      'is neither an old one that was promoted again, nor one that lags and that the operator never came to',
      [primary(3, 200, 120_000), primary(4, 80, 720_000), primary(2, 150)],
      2,
    ],
    ['is the restored one, once the operator writes there', [primary(1, 800, 3_600_000), primary(2, 100)], 1],
    [
      'is not an old one whose clock was set back, or is ahead: then the count decides',
      [primary(3, 90, -3_500_000, -3_600_000), primary(4, 90, 3_600_000, 7_200_000), primary(2, 100)],
      2,
    ],
    ['is none when nobody accepts writes', [silent, standby()], undefined],
  ])('%s', (_title, views, chosen) => {
    expect(choosePrimary(views)).toBe(chosen);
  });
});

describe('the host in use', () => {
  test.each<readonly [string, readonly HostView[], boolean]>([
    ['stays while its standbys follow it', [primary(1, 50), standby(49), standby(50)], false],
    ['stays while nobody else answers', [primary(1), silent, silent], false],
    ['stays beside an older one that came back', [primary(2, 50), primary(1, 10)], false],
    ['stays beside an older one that was promoted twice', [primary(2, 50), primary(3, 40)], false],
    ['stays after its promotion, although it lacks the last heartbeats', [primary(2, 47), standby(50), primary(1, 50)], false],
    ['stays if only one that is out of the question was promoted later', [primary(2, 8), primary(3, 6), primary(1, 10)], false],
    ['is left when another was promoted', [primary(1), primary(2)], true],
    ['is left when another one was promoted that lacks the last heartbeats', [primary(1, 50), primary(2, 47)], true],
    ['is left when the operator writes to another, however often it was promoted', [primary(3, 50), primary(2, 54)], true],
    ['is left when a standby has seen more heartbeats: it follows another primary', [primary(1, 50), standby(54)], true],
    ['is left when a standby knows heartbeats and it does not', [primary(1), standby(70)], true],
    ['is left when it is a standby now', [standby(), silent], true],
    ['is not said to be replaced because it is silent', [silent, primary(1)], false],
  ])('%s', (_title, views, superseded) => {
    expect(surveyOf(views, 0).superseded).toBe(superseded);
  });

  test('tells how old its own heartbeat is, and not that of another', () => {
    expect(surveyOf([primary(1, 40, 60_000), standby(41, 50_000)], 0)).toEqual({
      hosts: 2,
      answered: 2,
      superseded: false,
      contested: false,
      heartbeatAgeMs: 60_000,
    });
    expect(surveyOf([silent, standby(49)], 0)).not.toHaveProperty('heartbeatAgeMs');
  });

  test('tells no age by a clock that was set back: an old primary would be proven until it has caught up', () => {
    expect(surveyOf([primary(1, 40, -2_000)], 0)).toMatchObject({ heartbeatAgeMs: 0 });
    expect(surveyOf([primary(1, 40, -20_000)], 0)).not.toHaveProperty('heartbeatAgeMs');
  });

  test('is contested while it is silent and another accepts writes', () => {
    expect(surveyOf([silent, primary(1), standby()], 0).contested).toBe(true);
    expect(surveyOf([silent, standby(), standby()], 0).contested).toBe(false);
  });
});

/** The one in use has timeline 5, and 200 heartbeats, the last of them two minutes ago. */
const used = primary(5, 200, 120_000);
const [later, alike, earlier] = [2_000, 118_000, 3_600_000];
const [more, same, fewer] = [800, 201, 80];
const [after, before] = [6, 4];

describe('beside the one in use, another that accepts writes', () => {
  test.each<readonly [string, number, number, number, 'it' | 'ours' | 'contested']>([
    // Its heartbeat is later: the operator writes there, or did last.
    ['was promoted, and the operator moved there', later, more, after, 'it'],
    ['is where the operator is; ours was promoted again, cut off from the operator', later, more, before, 'it'],
    ['lagged when it was promoted, and its count has just reached ours', later, same, after, 'it'],
    ['has just reached our count, and ours was promoted again', later, same, before, 'it'],
    ['lagged when it was promoted, or was restored, and the operator moved there', later, fewer, after, 'it'],
    ['lagged when it was promoted, and ours was promoted again', later, fewer, before, 'it'],
    // No heartbeat is clearly later: the operator has just moved, or a clock is wrong. The count decides, then the timeline.
    ['knows more heartbeats, and was promoted', alike, more, after, 'it'],
    ['knows more heartbeats, however often ours was promoted', alike, more, before, 'it'],
    ['was promoted, and the operator has not been there yet', alike, same, after, 'it'],
    ['is the old one; ours was promoted, and the operator has not been here yet', alike, same, before, 'ours'],
    ['lagged when it was promoted, and the operator has hardly been there', alike, fewer, after, 'contested'],
    ['is the old one, and knows fewer heartbeats', alike, fewer, before, 'ours'],
    // Ours is later: the operator writes here, or did last.
    ['is from before a restore, and was promoted since', earlier, more, after, 'contested'],
    ['is from before a restore', earlier, more, before, 'ours'],
    ['has our count by chance, and was promoted since', earlier, same, after, 'contested'],
    ['has our count by chance', earlier, same, before, 'ours'],
    ['was cut off and promoted twice, or lagged when it was promoted while no operator ran', earlier, fewer, after, 'contested'],
    ['is an old primary that came back', earlier, fewer, before, 'ours'],
  ])('%s', (_title, ageMs, beats, timeline, better) => {
    const views = [used, primary(timeline, beats, ageMs)];
    const { superseded, contested } = surveyOf(views, 0);
    expect({ chosen: choosePrimary(views), superseded }).toEqual(
      better === 'it' ? { chosen: 1, superseded: true } : { chosen: 0, superseded: false },
    );
    if (better !== 'it') expect(contested).toBe(better === 'contested');
  });
});

describe('beside the one in use, a standby', () => {
  test.each<readonly [string, number, number, 'another' | 'ours']>([
    ['has a later heartbeat and more of them: it follows another primary', later, more, 'another'],
    ['has a later heartbeat and as many by chance: it follows one that lagged', later, same, 'another'],
    ['has a later heartbeat and fewer: it follows one that lagged, or was restored', later, fewer, 'another'],
    ['has more heartbeats: it follows another primary', alike, more, 'another'],
    ['has the same heartbeats: it follows ours', alike, same, 'ours'],
    ['has fewer heartbeats by a clock that is wrong, and follows ours', alike, fewer, 'ours'],
    ['has more heartbeats, all of them earlier: it is left over from before a restore of ours', earlier, more, 'ours'],
    ['has as many heartbeats by chance, and is left over, too', earlier, same, 'ours'],
    ['has fewer heartbeats: it lags', earlier, fewer, 'ours'],
  ])('%s', (_title, ageMs, beats, follows) => {
    const survey = surveyOf([used, standby(beats, ageMs)], 0);
    expect(survey).toMatchObject({ superseded: follows === 'another', contested: false });
  });

  test('whose clock is behind follows ours, although its heartbeat looks later while the operator is down', () => {
    expect(surveyOf([used, { kind: 'standby', last: { beats: 200, at: nowMs - 120_000, ageMs: 20_000 } }], 0)).toMatchObject({
      superseded: false,
    });
  });

  test('left over from before a restore does not matter beside a primary that the operator writes to', () => {
    expect(surveyOf([primary(1, 100, 2_000), standby(800, 3_600_000)], 0)).toMatchObject({ superseded: false, contested: false });
  });
});

describe('what proves the primary', () => {
  const survey = (changes: Partial<PrimarySurvey>): PrimarySurvey => ({
    ...{ hosts: 3, answered: 1, superseded: false, contested: false },
    ...changes,
  });
  const beating = { heartbeatAgeMs: 4_000 };
  const old = { heartbeatAgeMs: 60_000 };
  test.each<readonly [string, 'auto' | 'on' | 'off', Partial<PrimarySurvey>, number | undefined]>([
    ['a heartbeat, for the rest of its time', 'auto', beating, 56_000],
    ['no heartbeat that is too old', 'auto', old, undefined],
    ['most hosts, while the operator is down', 'auto', { ...old, answered: 2 }, 60_000],
    ['half of the hosts is not most of them', 'auto', { hosts: 2, answered: 1 }, undefined],
    ['most hosts prove nothing, while another was promoted', 'auto', { ...old, answered: 3, contested: true }, undefined],
    ['a heartbeat does, although another was promoted', 'auto', { ...beating, answered: 3, contested: true }, 56_000],
    ['nothing against a host that was replaced', 'auto', { ...beating, answered: 3, superseded: true }, undefined],
    ['a single host is believed', 'auto', { hosts: 1 }, Infinity],
    ['a single host is not, where a heartbeat is required', 'on', { hosts: 1 }, undefined],
    ['most hosts are not, where a heartbeat is required', 'on', { ...old, answered: 3 }, undefined],
    ['a heartbeat of a single host, where it is required', 'on', { hosts: 1, ...beating }, 56_000],
    ['nothing is asked for', 'off', { superseded: true }, Infinity],
  ])('%s (%s)', (_title, rule, changes, proven) => {
    expect(provenForMs(survey(changes), rule, 60_000)).toBe(proven);
  });
});
