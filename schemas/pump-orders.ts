import * as z from 'zod';

/**
 * What is said on the channel of `pumpsPath`: a JSON object in each line, orders to the controller and news to the runtime.
 * A relayed request has a number, which the controller says in `RELAYED_HEADER`.
 */
export const maxPumpLineBytes = 64 * 1024;

const number = z.int().positive();
const count = z.int().nonnegative();

/** `from` is the number of the sender's request, `to` those of receivers. */
export const pumpOrderSchema = z.discriminatedUnion('order', [
  /** The body is read from the relayed request, as any other. */
  z.object({order: z.literal('read'), from: number}),
  /** It goes to these and not to the runtime; no order about it but the following two comes any more. */
  z.object({order: z.literal('pump'), from: number, to: z.array(number).min(1)}),
  /** The others go on without this one. */
  z.object({order: z.literal('drop'), from: number, to: number}),
  z.object({order: z.literal('stop'), from: number}),
]);
export type PumpOrder = z.infer<typeof pumpOrderSchema>;

/** `bytes` of the body so far. Of what was ordered to stop there is no news. */
export const pumpNewsSchema = z.discriminatedUnion('news', [
  /** `behind`: who has not taken everything yet, and how many bytes that are. */
  z.object({
    news: z.literal('moving'),
    from: number,
    bytes: count,
    movements: count,
    behind: z.array(z.tuple([number, count])),
  }),
  /** The sender's body is complete; receivers may still be behind. */
  z.object({news: z.literal('uploaded'), from: number, bytes: count}),
  /** Nobody is behind any more. */
  z.object({news: z.literal('delivered'), from: number, bytes: count}),
  /** The body broke off. */
  z.object({news: z.literal('cut'), from: number, bytes: count}),
]);
export type PumpNews = z.infer<typeof pumpNewsSchema>;
