/** A stretch of time in which the offset from UTC does not change. */
export interface Segment {
  /** Epoch ms, inclusive. */
  readonly startMs: number;
  /** Epoch ms, exclusive. */
  readonly endMs: number;
  /** Local time minus UTC. */
  readonly offsetMs: number;
  /** The offset just before `startMs`; the same as `offsetMs` where nothing changed. */
  readonly previousOffsetMs: number;
}

/** Offsets of one IANA time zone. Keep the value: it remembers the transitions that it looked up. */
export interface Zone {
  readonly name: string;
  segmentAt(epochMs: number): Segment;
}

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** Transitions are searched one chunk at a time. */
const chunkMs = 400 * dayMs;
/** No zone changes its offset and back within this time. */
const probeMs = 10 * dayMs;

export function isTimeZone(name: string): boolean {
  if (name === 'UTC') return true;
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en-US', {timeZone: name});
    return true;
  } catch {
    // The constructor throws for an unknown name and has no other way to say so.
    return false;
  }
}

const allTime: Segment = {
  startMs: Number.NEGATIVE_INFINITY,
  endMs: Number.POSITIVE_INFINITY,
  offsetMs: 0,
  previousOffsetMs: 0,
};

/** The zone of most containers; known without asking `Intl`, which costs megabytes at its first use. */
const utc: Zone = {name: 'UTC', segmentAt: () => allTime};

/** Throws RangeError for a name that is not an IANA time zone. */
export function createZone(name: string): Zone {
  if (name === 'UTC') return utc;
  if (!isTimeZone(name)) throw new RangeError(`\`${name}\` is not an IANA time zone.`);
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name,
    timeZoneName: 'longOffset',
    year: 'numeric',
  });
  const offsetAt = (epochMs: number) => parseOffset(format.format(epochMs));
  const chunks = new Map<number, Segment[]>();

  return {
    name,
    segmentAt(epochMs) {
      const index = Math.floor(epochMs / chunkMs);
      let segments = chunks.get(index);
      if (segments === undefined) {
        segments = findSegments(index * chunkMs, (index + 1) * chunkMs, offsetAt);
        chunks.set(index, segments);
      }
      for (const segment of segments) if (epochMs < segment.endMs) return segment;
      throw new RangeError(`No offset of ${name} at ${epochMs}.`);
    },
  };
}

function findSegments(fromMs: number, untilMs: number, offsetAt: (epochMs: number) => number): Segment[] {
  const segments: Segment[] = [];
  let startMs = fromMs;
  let previousOffsetMs = offsetAt(fromMs - minuteMs);
  let offsetMs = offsetAt(fromMs);
  for (let probedMs = fromMs; probedMs < untilMs; probedMs += probeMs) {
    // The last minute of the chunk bounds the search, so that its neighbour finds what lies beyond.
    const nextMs = Math.min(probedMs + probeMs, untilMs - minuteMs);
    if (offsetAt(nextMs) === offsetMs) continue;
    const endMs = firstChange(probedMs, nextMs, offsetMs, offsetAt);
    segments.push({startMs, endMs, offsetMs, previousOffsetMs});
    startMs = endMs;
    previousOffsetMs = offsetMs;
    offsetMs = offsetAt(endMs);
  }
  segments.push({startMs, endMs: untilMs, offsetMs, previousOffsetMs});
  return segments;
}

/** The first whole minute after `fromMs` and up to `untilMs` whose offset is another than `offsetMs`. */
function firstChange(
  fromMs: number,
  untilMs: number,
  offsetMs: number,
  offsetAt: (epochMs: number) => number,
): number {
  let low = fromMs / minuteMs;
  let high = untilMs / minuteMs;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * minuteMs) === offsetMs) low = middle;
    else high = middle;
  }
  return high * minuteMs;
}

/** Reads the end of, for example, `2026, GMT+10:30`; plain `GMT` is zero. Seconds of old local times are dropped. */
function parseOffset(text: string): number {
  const match = /GMT(?:([+-])(\d\d):(\d\d))?/.exec(text);
  if (match === null) throw new RangeError(`No offset in \`${text}\`.`);
  const [, sign, hours = '0', minutes = '0'] = match;
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * minuteMs;
}
