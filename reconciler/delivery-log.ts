import {openJournal} from '../runtime/platform/journal.ts';
import type {Log} from '../runtime/platform/log.ts';
import {type Delivery, deliverySchema} from '../schemas/delivery.ts';

/** Deliveries of webhooks, in memory and in one file; the oldest go when there are too many. */
export interface DeliveryLog {
  get(id: string): Delivery | undefined;
  /** Newest first. */
  newest(count: number): Delivery[];
  /** Puts it in memory at once; resolves when it is on disk. */
  save(delivery: Delivery): Promise<void>;
  close(): Promise<void>;
}

/** A forge sends a delivery again within days at most, and people ask about the last ones. */
export const mostDeliveries = 5000;

/** Lines that cannot be read are left out and logged: what they are about is found by polling. */
export async function openDeliveryLog({path, log}: {path: string; log: Log}): Promise<DeliveryLog> {
  const {journal, lines} = await openJournal(path);
  const deliveries = new Map<string, Delivery>();
  const keep = (delivery: Delivery) => {
    deliveries.set(delivery.id, delivery);
    for (const id of deliveries.keys()) {
      if (deliveries.size <= mostDeliveries) break;
      deliveries.delete(id);
    }
  };
  let unreadable = 0;
  for (const line of lines) {
    const delivery = parseLine(line);
    if (delivery === null) unreadable += 1;
    else keep(delivery);
  }
  if (unreadable > 0) log.warn('lines about webhook deliveries cannot be read', {path, lines: unreadable});
  let written = lines.length;

  return {
    get: (id) => deliveries.get(id),
    newest: (count) => [...deliveries.values()].slice(-count).reverse(),
    async save(delivery) {
      keep(delivery);
      written += 1;
      // What is no longer known, or said anew, is dropped when it is most of the file.
      if (written > 3 * mostDeliveries) {
        written = deliveries.size;
        await journal.rewrite([...deliveries.values()].map((known) => JSON.stringify(known)));
        return;
      }
      await journal.append(JSON.stringify(delivery));
    },
    close: () => journal.close(),
  };
}

function parseLine(line: string): Delivery | null {
  try {
    return deliverySchema.parse(JSON.parse(line));
  } catch {
    // The caller counts it.
    return null;
  }
}
