import {nextWall} from './next-run.ts';
import {hoursOf, type Schedule} from './parse.ts';
import type {Zone} from './zone.ts';

/** A jump of the wall clock; wall times are written as if the local time were UTC. */
export interface ClockJump {
  readonly atMs: number;
  readonly kind: 'gap' | 'repeat';
  readonly fromWall: number;
  readonly untilWall: number;
}

/** The jumps of a zone's clock after `fromMs` and before `untilMs` (epoch ms), in order. */
export function* clockJumps(zone: Zone, fromMs: number, untilMs: number): Generator<ClockJump> {
  for (let atMs = fromMs; atMs < untilMs; ) {
    const {endMs} = zone.segmentAt(atMs);
    if (endMs >= untilMs) return;
    const {startMs, offsetMs, previousOffsetMs} = zone.segmentAt(endMs);
    const before = startMs + previousOffsetMs;
    const after = startMs + offsetMs;
    if (after > before) yield {atMs: startMs, kind: 'gap', fromWall: before, untilWall: after};
    if (after < before) yield {atMs: startMs, kind: 'repeat', fromWall: after, untilWall: before};
    atMs = endMs;
  }
}

/** What a jump does to a job, in a sentence; null where it does nothing, or what everybody expects of every hour. */
export function jumpEffect(
  schedule: Schedule,
  zone: Zone,
  {atMs, kind, fromWall, untilWall}: ClockJump,
): string | null {
  if (schedule.reboot || hoursOf(schedule).length === 24) return null;
  if (nextWall(schedule, fromWall, untilWall) === null) return null;
  const day = new Date(fromWall).toISOString().slice(0, 10);
  const times = `${wallTime(fromWall)} to ${wallTime(untilWall)}`;
  if (kind === 'gap') {
    const then = schedule.wildcard
      ? 'the runs of that time are left out'
      : `it runs at ${new Date(atMs).toISOString()}, right after`;
    return `In ${zone.name} the clock skips ${times} on ${day}; ${then}.`;
  }
  const then = schedule.wildcard ? 'it runs in both passes' : 'it runs in the first pass only';
  return `In ${zone.name} the clock shows ${times} twice on ${day}; ${then}.`;
}

function wallTime(wall: number): string {
  return new Date(wall).toISOString().slice(11, 16);
}
