/** A mean number of runs, for people. */
export function formatRate(runs: number): string {
  if (runs === 0) return 'no runs';
  const number = runs >= 10 ? Math.round(runs) : Number(runs.toPrecision(2));
  return `${number} ${number === 1 ? 'run' : 'runs'}`;
}
