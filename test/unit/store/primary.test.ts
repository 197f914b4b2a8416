import { describe, expect, test } from 'vitest';

import { choosePrimary, provenForMs, surveyOf } from '../../../operator/src/store/primary.ts';
import type { HostView, LastBeat, PrimarySurvey, Remembered } from '../../../operator/src/store/primary.ts';

const silent: HostView = { kind: 'silent' };
const nowMs = Date.UTC(2026, 0, 1);
/** By clocks that agree, except as far as `aheadMs` says that the one that wrote it is ahead. */
const lastOf = (beats: number | undefined, ageMs: number, aheadMs = 0) =>
  beats === undefined ? {} : { last: { beats, at: nowMs - ageMs + aheadMs, ageMs } };
const primary = (timeline: number, beats?: number, ageMs = 1_000, aheadMs = 0) => ({
  kind: 'primary' as const,
  system: '1',
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
    expect(surveyOf([primary(1, 40, -25_000)], 0)).not.toHaveProperty('heartbeatAgeMs');
  });

  test('has no younger heartbeat than this process has seen, whatever its clock says', () => {
    const view: HostView = { ...primary(1), last: { beats: 40, at: nowMs, ageMs: 2_000, stillMs: 70_000 } };
    expect(surveyOf([view], 0)).toMatchObject({ heartbeatAgeMs: 70_000 });
  });

  test('is contested while another refuses to say what it is, and not while it refuses itself', () => {
    const refusing: HostView = { kind: 'refusing' };
    expect(surveyOf([primary(1, 40), standby(40), refusing], 0)).toMatchObject({ contested: true, answered: 3 });
    expect(surveyOf([refusing, standby(40), standby(40)], 0)).toMatchObject({ contested: false, superseded: false, answered: 3 });
  });

  test('is contested while it is silent and another accepts writes', () => {
    expect(surveyOf([silent, primary(1), standby()], 0).contested).toBe(true);
    expect(surveyOf([silent, standby(), standby()], 0).contested).toBe(false);
  });
});

test('several names of one server are one answer, whatever it is', () => {
  const [old, follower] = [
    { ...primary(1, 40), server: 'a' },
    { ...standby(40), server: 'b' },
  ];
  expect(surveyOf([old, old, silent], 0)).toMatchObject({ hosts: 3, answered: 1, superseded: false });
  expect(surveyOf([old, old, follower, follower, silent], 0)).toMatchObject({ hosts: 5, answered: 2 });
  // One that does not say which it is, or lets nobody in, may be another.
  expect(surveyOf([primary(1, 40), standby(40), { kind: 'refusing' }], 0)).toMatchObject({ answered: 3 });
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

/** As a process remembers it: timeline 6, 200 heartbeats, the last one a minute ago. */
const remembered: Remembered = { system: '1', timeline: 6, last: { beats: 200, at: nowMs - 60_000, ageMs: 60_000 } };

describe('when another primary was used last, one', () => {
  test.each<readonly [string, HostView, boolean]>([
    ['that was promoted since is used', primary(7, 200, 60_000), true],
    ['that was promoted since is used, although it lacks the last heartbeats', primary(7, 197, 75_000), true],
    ['that was promoted since is not used if it lacks more of them', primary(7, 196, 78_000), false],
    ['that lacks many is not used, however often it was promoted', primary(9, 100, 60_000), false],
    ['that is the same one is used', primary(6, 200, 60_000), true],
    ['of an earlier timeline is not used, although it lacks hardly anything', primary(5, 199, 65_000), false],
    ['of an earlier timeline is not used, although it has seen more heartbeats', primary(5, 202, 55_000), false],
    ['that an operator has written to since is used, however few heartbeats it has', primary(1, 3, 2_000), true],
    ['whose clock is ahead is not used: its heartbeat is no younger', primary(5, 100, 300_000, 3_600_000), false],
    ['that does not tell its timeline is used if it lacks hardly anything', primary(0, 198, 70_000), true],
    ['that was copied whole to another system is used', { ...primary(1, 200, 60_000), system: '2' }, true],
  ])('%s', (_title, view, isUsed) => {
    expect(choosePrimary([silent, view], remembered)).toBe(isUsed ? 1 : undefined);
    expect(surveyOf([view, silent], 0, remembered).superseded).toBe(!isUsed);
  });
});

describe('when the one in use lets nobody in, as one that was fenced', () => {
  const refusing: HostView = { kind: 'refusing' };
  test.each<readonly [string, HostView, boolean]>([
    ['a successor that the operator writes to takes over', primary(7, 300, 2_000), true],
    ['a successor that was just promoted takes over', primary(7, 199, 62_000), true],
    ['one that lacks more takes over no more than before', primary(7, 150, 120_000), false],
    ['an old one takes over no more than before', primary(5, 199, 62_000), false],
    ['a standby takes over nothing', standby(230, 2_000), false],
  ])('%s', (_title, other, superseded) => {
    for (const own of [silent, refusing]) expect(surveyOf([own, other], 0, remembered).superseded).toBe(superseded);
    expect(surveyOf([refusing, other], 0).superseded).toBe(false);
  });
});

describe('what this process saw of the heartbeats, without clocks', () => {
  const grown: Partial<LastBeat> = { stillMs: 3_000, hasGrown: true };
  const still: Partial<LastBeat> = { stillMs: 40_000, hasGrown: false };
  const seen = (view: HostView, what: Partial<LastBeat>): HostView =>
    'last' in view ? { ...view, last: { ...view.last, ...what } } : view;
  /** A day behind: its heartbeats look as young as those of the one in use. */
  const leftover = { standby: standby(1_000_000, 4_000), primary: primary(1, 1_000_000, 4_000) };

  test('shows that a leftover with more heartbeats and a wrong clock is none of ours', () => {
    const own = primary(2, 100, 3_000);
    for (const other of Object.values(leftover)) {
      expect(surveyOf([own, other], 0).superseded).toBe(true);
      const views = [seen(own, grown), seen(other, still)];
      expect(surveyOf(views, 0).superseded).toBe(false);
      expect(choosePrimary(views)).toBe(0);
    }
  });

  test('shows that an operator writes to one that lacks what the last one had', () => {
    const last = { ...remembered.last, stillMs: 40_000 };
    expect(choosePrimary([seen(primary(1, 3, 60_000), grown)], { ...remembered, last })).toBe(0);
    expect(choosePrimary([seen(primary(1, 3, 60_000), still)], { ...remembered, last })).toBeUndefined();
  });

  test('does not set a primary against its own heartbeat on a standby', () => {
    const views = [seen(primary(1, 100), still), seen(standby(100), { ...grown, stillMs: 0 })];
    expect(surveyOf(views, 0).superseded).toBe(false);
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
