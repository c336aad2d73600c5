import type {Database} from '../platform/sqlite-file.ts';

export interface RetentionLimits {
  /** Of each entry so many runs stay, whatever their age. */
  readonly keptPerEntry: number;
  readonly ageMs: number;
  /** Of the database. Above it the oldest output goes, then the oldest runs; the newest run of each entry stays. */
  readonly maxBytes: number;
}

export interface RunRetention {
  /** Removes a little of what is too much; call it often. */
  step(nowMs: number): void;
}

const rowsPerStep = 500;
const pagesPerStep = 256;
const ageIntervalMs = 60 * 60_000;
/** Below the limit by this much before removal ends, so that it does not begin again with the next run. */
const target = 0.9;

export function createRunRetention(database: Database, limits: RetentionLimits): RunRetention {
  const {keptPerEntry, ageMs, maxBytes} = limits;
  let shrinking = false;
  let ageCheckMs = 0;

  const removeOld = database.query(`DELETE FROM runs WHERE id IN (
    SELECT id FROM runs AS old WHERE scheduled_ms < $beforeMs AND status <> 'running'
      AND scheduled_ms < (SELECT newer.scheduled_ms FROM runs AS newer WHERE newer.entry_id = old.entry_id
        ORDER BY newer.scheduled_ms DESC LIMIT 1 OFFSET $kept)
    LIMIT ${rowsPerStep})`);
  const removeBeyond = database.query(`DELETE FROM runs WHERE id IN (
    SELECT id FROM (SELECT id, status, scheduled_ms,
        row_number() OVER (PARTITION BY entry_id ORDER BY scheduled_ms DESC, id DESC) AS place FROM runs)
      WHERE place > $kept AND status <> 'running' ORDER BY scheduled_ms LIMIT ${rowsPerStep})`);
  const emptyOutput = database.query(`UPDATE runs SET stdout = '', stderr = '', truncated = 1, bytes = 0
    WHERE id IN (SELECT id FROM runs AS old WHERE bytes > 0 AND status <> 'running'
      AND EXISTS (SELECT 1 FROM runs AS newer WHERE newer.entry_id = old.entry_id
        AND newer.scheduled_ms > old.scheduled_ms)
    ORDER BY scheduled_ms LIMIT ${rowsPerStep})`);
  const pages = database.query<
    {bytes: number},
    []
  >(`SELECT (p.page_count - f.freelist_count) * s.page_size AS bytes
    FROM pragma_page_count() AS p, pragma_freelist_count() AS f, pragma_page_size() AS s`);

  function isTooLarge(): boolean {
    const bytes = pages.get()?.bytes ?? 0;
    shrinking = bytes > (shrinking ? maxBytes * target : maxBytes);
    return shrinking;
  }

  /** The number of rows that were removed or emptied. */
  function shrink(): number {
    for (const work of [
      () => removeBeyond.run({kept: keptPerEntry}),
      () => emptyOutput.run(),
      () => removeBeyond.run({kept: 1}),
    ]) {
      const {changes} = work();
      if (changes > 0) return changes;
    }
    return 0;
  }

  return {
    step(nowMs) {
      let removed = 0;
      if (nowMs >= ageCheckMs) {
        removed = removeOld.run({beforeMs: nowMs - ageMs, kept: keptPerEntry - 1}).changes;
        if (removed < rowsPerStep) ageCheckMs = nowMs + ageIntervalMs;
      }
      if (isTooLarge()) removed += shrink();
      if (removed > 0) database.run(`PRAGMA incremental_vacuum(${pagesPerStep})`);
    },
  };
}
