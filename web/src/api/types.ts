/** The shapes that travel between server and page, by the names that the page uses; generated from the server's schema. */

import type { components } from "./schema";

type Schemas = components["schemas"];

export type ParameterSpec = Schemas["ParameterDescription"];
export type ParameterValue = ParameterSpec["default"];
export type MethodSpec = Schemas["MethodDescription"];
export type ModelClass = Schemas["ClassDescription"];
export type Model = Schemas["ModelDescription"];
export type ImageRecord = Schemas["ImageRecord"];
export type ImageProblem = Schemas["ImageProblem"];
export type ImageList = Schemas["ImageList"];
export type ClassResult = Schemas["ClassSummary"];
export type Layer = Schemas["LayerDescription"];
export type Prediction = Schemas["PredictionSummary"];
export type AttributionRequest = Required<Schemas["AttributionRequest"]>;
export type WireRegion = NonNullable<AttributionRequest["region"]>;
export type AttributionHeader = Schemas["AttributionHeader"];
export type SamenessFinding = Schemas["SamenessFinding"];
export type Alternative = Schemas["AlternativeDescription"];
export type NetworkGraph = Schemas["NetworkGraph"];
export type LayersRequest = Required<Schemas["LayersRequest"]>;
export type LayersDescription = Schemas["LayersDescription"];
export type LayerMap = Schemas["LayerMap"];
export type ImageStatistics = Schemas["ImageStatistics"];
export type ImageFailure = Schemas["ImageFailure"];
export type Statistics = Schemas["StatisticsOverview"];
export type Family = MethodSpec["family"];
export type WorkProgress = Schemas["WorkProgress"];
export type TableRequest = Required<Schemas["TableRequest"]>;
export type TableDescription = Schemas["TableDescription"];
export type ReasonsRequest = Required<Schemas["ReasonsRequest"]>;
export type ReasonsDescription = Schemas["ReasonsDescription"];
export type Script = Schemas["Script"];
export type ErrorBody = Schemas["ErrorBody"];
