import {createZone, type Zone} from '../../schemas/schedule/zone.ts';

/** The zones of one container; each is made once, since it remembers the transitions that it looked up. */
export interface Zones {
  /** null for the container's own zone. Throws RangeError for a name that is no IANA zone. */
  of(name: string | null): Zone;
}

export function createZones(defaultName: string): Zones {
  const zones = new Map<string, Zone>();
  return {
    of(name) {
      const wanted = name ?? defaultName;
      const zone = zones.get(wanted) ?? createZone(wanted);
      zones.set(wanted, zone);
      return zone;
    },
  };
}
