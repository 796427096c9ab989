#include "candle.h"
