import * as z from 'zod';

const unitBytes = {B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4} as const;

/** `512MB`, `1GB` or `0`-free bytes such as `4096B`, as bytes; each unit is 1024 of the one before. */
export const sizeSchema = z
  .string()
  .regex(/^\d{1,6}(?:\.\d{1,3})?(?:B|KB|MB|GB|TB)$/, 'write a size as 512MB or 1.5GB')
  .transform(parseSize)
  .refine((bytes) => bytes >= 1, 'a size is at least 1B')
  .meta({description: 'A size such as 512MB or 1.5GB; 1KB is 1024 bytes.'});

function parseSize(text: string): number {
  const [, number = '', unit = 'B'] = /^([\d.]+)([A-Z]+)$/.exec(text) ?? [];
  return Math.floor(Number(number) * unitBytes[unit as keyof typeof unitBytes]);
}

/** In the largest unit in which it is at least 1, for people: `512 MB`, `1.5 GB`. */
export function formatSize(bytes: number): string {
  const unit = (['TB', 'GB', 'MB', 'KB'] as const).find((each) => bytes >= unitBytes[each]) ?? 'B';
  return `${Number((bytes / unitBytes[unit]).toFixed(1))} ${unit}`;
}
