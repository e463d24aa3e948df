// What the Vercel AI SDK does with the model server: text, tools and objects, whole and in pieces.
import { createOpenAI } from '@ai-sdk/openai'
import { generateObject, generateText, jsonSchema, stepCountIs, streamObject, streamText, tool } from 'ai'

const same = (came, wanted) => {
  if (came !== wanted) throw new Error(`${came} is not ${wanted}`)
}
const tokens = (text) => (text.match(/⟨/g) ?? []).length
const openai = createOpenAI({ baseURL: `${process.env.BASE}/v1`, apiKey: 'any' })
const place = jsonSchema({
  type: 'object',
  properties: { name: { type: 'string' }, kind: { enum: ['town', 'city'] } },
  required: ['name', 'kind'],
  additionalProperties: false,
})
const weather = tool({ description: 'Says it.', inputSchema: place, execute: async ({ name }) => `rain in ${name}` })

for (const model of [openai.chat('lab?tokens=7&interval=1ms'), openai.responses('lab?tokens=7&interval=1ms')]) {
  const options = { model, prompt: 'Count.', maxRetries: 0 }
  same(tokens((await generateText(options)).text), 7)
  let text = ''
  for await (const piece of streamText(options).textStream) text += piece
  same(tokens(text), 7)
  const called = await generateText({ ...options, tools: { weather }, stopWhen: stepCountIs(3) })
  same(called.steps[0].toolResults[0].output, 'rain in amber')
  same(tokens(called.text), 7)
  const stream = streamText({ ...options, tools: { weather }, stopWhen: stepCountIs(3) })
  for await (const _ of stream.fullStream);
  same((await stream.steps)[0].toolResults[0].output, 'rain in amber')
  same((await generateObject({ ...options, schema: place })).object.kind, 'town')
  const objects = streamObject({ ...options, schema: place })
  for await (const _ of objects.partialObjectStream);
  same((await objects.object).name, 'amber')
}
